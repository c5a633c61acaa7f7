"""The pages of drills, and the doors of their commands."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.views.commands import CommandView
from core.views.reading import Live, page_query, reading, render_page
from incidents.forms import ReasonForm
from incidents.selectors.actions import why_not_allowed
from rollbacks import policy
from rollbacks.drill_forms import DebriefForm, NotesForm, PlanDrillForm
from rollbacks.models import Drill
from rollbacks.selectors.drills import drill_url, get_drill, get_drill_page, list_coming, list_past
from rollbacks.selectors.readiness import EVERYTHING, BoardAsk, readiness_board
from rollbacks.services import drill_planning, drill_running
from rollbacks.states import LastRehearsal

OVERDUE = "overdue"
SHOWN = {
    "": EVERYTHING,
    OVERDUE: BoardAsk(overdue=True),
    **{last.value: BoardAsk(last=last) for last in (LastRehearsal.NEVER, LastRehearsal.FAILED)},
}
CHOICES = (
    ("", "All"),
    (OVERDUE, "Overdue"),
    (LastRehearsal.NEVER.value, "Never rehearsed"),
    (LastRehearsal.FAILED.value, "Failed"),
)


@reading
def drills(request: HttpRequest, actor: Actor) -> HttpResponse:
    """How ready each service is, what is planned, and how former drills went."""
    query = page_query(request)
    shown, asked = query.get("show", ""), query.get("page", "")
    shown = shown if shown in SHOWN else ""
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 5 else 1
    number = max(1, number)
    board = readiness_board(actor, now=utcnow(), ask=SHOWN[shown], number=number)

    def address(show: str, page: int = 1) -> str:
        query = {"show": show} if show else {}
        query |= {"page": str(page)} if page > 1 else {}
        return reverse("rollbacks:drills") + (f"?{urlencode(query)}" if query else "")

    counts = {"": board.total, OVERDUE: board.overdue}
    counts |= {last.value: count for last, count in board.last.items()}
    context = {
        "live": Live(address(shown, number), "drills"),
        "board": board,
        "choices": [
            {"label": label, "count": counts[key], "url": address(key), "current": key == shown}
            for key, label in CHOICES
        ],
        "coming": list_coming(actor),
        "past": list_past(actor),
        "why_not": why_not_allowed(actor, "command"),
        "limit_days": round(policy.drills().rehearse_within / 86_400),
        "previous_url": address(shown, number - 1) if number > 1 else None,
        "next_url": address(shown, number + 1) if board.has_more else None,
    }
    return render_page(request, "rollbacks/drills.html", context)


@reading
def drill(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """One drill: what happens, and how it is scored."""
    page = get_drill_page(actor, pk, now=utcnow())
    topics = f"drill:{pk}" + (f" incident:{page.incident_ref}" if page.incident_ref else "")
    return render_page(request, "rollbacks/drill.html", {"live": Live(drill_url(pk), topics), "drill": page})


class PlanDrill(CommandView):
    form_class = PlanDrillForm
    title = "Plan a drill"
    submit_label = "Plan it"

    def load(self, **kwargs: str) -> None:
        self.planned: Drill | None = None

    def form_arguments(self) -> dict[str, Any]:
        return {"initial": {"service": [self.request.GET.get("service", "")[:60]]}}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        self.planned = drill_planning.plan_drill(actor=self.actor, now=now, **data)
        return f"The drill begins {self.planned.starts_at:%Y-%m-%d %H:%M} UTC; its participants are invited."

    def back_url(self) -> str:
        return drill_url(self.planned.pk) if self.planned else reverse("rollbacks:drills")

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                "A drill incident opens then, with everybody who takes part on it. Nothing in production"
                " changes: what is not safe in a drill is only shown.",
                "Those who take part and the rooms are told, always marked DRILL. Nobody outside is.",
                "A real incident of the service breaks it off.",
            ]
        }


class _DrillCommand(CommandView):
    """A command on one drill, which leads back to its page."""

    pk = 0

    def load(self, **kwargs: str) -> None:
        self.pk = get_drill(self.actor, int(kwargs["pk"])).pk

    def back_url(self) -> str:
        return drill_url(self.pk)


class StartDrill(_DrillCommand):
    title = "Start the drill"
    submit_label = "Start now"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        drill_running.start_drill(drill_id=self.pk, actor=self.actor, now=now)
        return "The drill runs."

    def extra_context(self) -> dict[str, Any]:
        found = get_drill(self.actor, self.pk)
        rings = "Their telephones ring as in an emergency." if found.page_people else "They get e-mail alone."
        names = ", ".join(sorted(user.get_username() for user in found.participants.all())) or "nobody yet"
        return {"consequences": [f"Its incident opens now. Who takes part: {names}. {rings}"]}


class CancelDrill(_DrillCommand):
    form_class = ReasonForm
    title = "Cancel the drill"
    submit_label = "Cancel the drill"
    danger = True

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        drill_running.cancel_drill(drill_id=self.pk, actor=self.actor, now=now, **data)
        return "The drill is cancelled."

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                "It is not held, or broken off: its incident is resolved, and nothing is scored."
            ]
        }


class FinishDrill(_DrillCommand):
    form_class = NotesForm
    title = "End the drill"
    submit_label = "End it"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        drill_running.finish_drill(drill_id=self.pk, actor=self.actor, now=now, **data)
        return "The drill is over, and its scorecard is kept."

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                "It is scored as it stands: what is still open was not done. Its rollback is stopped."
            ]
        }


class DebriefDrill(_DrillCommand):
    form_class = DebriefForm
    title = "Write the debrief"
    submit_label = "Keep it"

    def form_arguments(self) -> dict[str, Any]:
        return {"initial": {"notes": get_drill(self.actor, self.pk).notes}}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        drill_running.write_debrief(drill_id=self.pk, actor=self.actor, now=now, **data)
        return "The debrief is kept."

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": get_drill(self.actor, self.pk).plan["debrief"]}
