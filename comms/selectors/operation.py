"""What the operation of Firebreak asks this app: what is due, and what was given up."""

from __future__ import annotations

from django.db import connection

from comms.models import StatusSnapshot
from comms.states import DUE_STATES, DeliveryState
from core.operation.facts import DueWork, Trouble

GIVEN_UP_SHOWN_SECONDS = 3600.0

_DEAD = """
SELECT count(*) FROM comms_delivery
 WHERE state = %s AND due_at > statement_timestamp() - make_interval(secs => %s)
"""


def due_status_page() -> DueWork:
    """The snapshot of the status page, when it is not what it should be."""
    return DueWork("SELECT due_at FROM comms_statussnapshot WHERE due_at <= statement_timestamp()")


def due_confirmations() -> DueWork:
    """Links that confirm a subscription and have not left."""
    return DueWork("SELECT mail_due_at FROM comms_subscriber WHERE mail_due_at <= statement_timestamp()")


def due_deliveries() -> DueWork:
    """Messages that should be on their way."""
    return DueWork(
        "SELECT due_at FROM comms_delivery WHERE state = ANY(%s) AND due_at <= statement_timestamp()",
        (list(DUE_STATES),),
    )


def due_escalations() -> DueWork:
    """Clocks of open incidents that ran out, and that nobody has looked at yet."""
    return DueWork("SELECT due_at FROM comms_escalationclock WHERE due_at <= statement_timestamp()")


def dead_deliveries() -> tuple[Trouble, ...]:
    """Deliveries that were given up within the last hour."""
    with connection.cursor() as cursor:
        cursor.execute(_DEAD, [DeliveryState.DEAD, GIVEN_UP_SHOWN_SECONDS])
        (dead,) = cursor.fetchone()
    if dead == 0:
        return ()
    number = "1 message" if dead == 1 else f"{dead} messages"
    detail = "In the last hour. The incident's page names the recipients and the reasons."
    return (
        Trouble("deliveries.dead", "warning", f"{number} could not be delivered", detail, "delivery-dead"),
    )


def unwritten_status_page() -> tuple[Trouble, ...]:
    """Files of the status page that could not be written: a web server shows older ones."""
    row = StatusSnapshot.objects.exclude(last_error="").first()
    if row is None:
        return ()
    last = f"{row.written_at:%Y-%m-%d %H:%M} UTC" if row.written_at else "never"
    text = "The status page is not written to disk"
    detail = (
        f"{row.last_error} (last written: {last}). Where a web server shows the files, users read old news."
    )
    return (Trouble("status_page.unwritten", "warning", text, detail, "status-page-old"),)
