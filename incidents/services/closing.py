"""What must be there before an incident is closed."""

from __future__ import annotations

from core.errors import Conflict, Invalid
from incidents import policy
from incidents.models import Incident, Report
from incidents.selectors.reports import report_url


class NotReported(Conflict):
    """Its report is not published."""

    code = "report_not_published"


def must_be_reported(incident: Incident, reason: str) -> None:
    """Raise NotReported unless a locked incident may be closed: with its report published since it was
    resolved, or with a reason where the playbook says that this will do. A drill has its scorecard instead.
    """
    told = Report.objects.filter(incident=incident, published_at__gte=incident.resolved_at)
    if incident.drill or told.exists():
        return
    if incident.severity not in policy.reports().may_be_skipped:
        said = f"{incident.ref} is closed when its report is published: {report_url(incident.ref)}"
        raise NotReported(said, state=incident.status)
    if not reason.strip():
        raise Invalid({"reason": "Say why it is closed without a published report."})
