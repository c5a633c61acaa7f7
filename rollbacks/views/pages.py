"""The pages that this app shows."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from core.actors import Actor
from core.clock import utcnow
from core.views.reading import Live, reading, render_page
from rollbacks.selectors.authority import case_of, standing_of
from rollbacks.selectors.breaches import confirming_text
from rollbacks.selectors.choices import attention_of, rollback_actions
from rollbacks.selectors.confirmations import confirmation_of
from rollbacks.selectors.rollback_page import (
    get_rollback,
    list_approvals,
    list_children,
    list_phases,
    rollback_facts,
    rollback_url,
    steps_with_tails,
)
from rollbacks.selectors.soak import draw_soak


@reading
def rollback(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    """One rollback: its phases, its soak, and what a person must decide."""
    found = get_rollback(actor, ref)
    steps, case = steps_with_tails(found), case_of(found, utcnow())
    context = {
        "live": Live(rollback_url(found.ref), f"rollback:{found.ref} incident:{found.incident.ref}"),
        "rollback": rollback_facts(found),
        "actions": rollback_actions(actor, found, steps, case),
        "standing": standing_of(found, case),
        "approvals": list_approvals(found),
        "phases": list_phases(found, steps),
        "children": list_children(found),
        "soak": draw_soak(found, steps, now=utcnow()),
        "confirming_text": confirming_text(found),
        "confirmation": confirmation_of(actor, found, steps),
        "attention": attention_of(actor, found, steps),
    }
    return render_page(request, "rollbacks/rollback.html", context)
