"""The page of action items, and the doors of their commands."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.errors import NotFound
from core.versions import at_version
from core.views.commands import CommandView
from core.views.reading import Live, page_query, reading, render_page
from incidents import action_item_forms, forms
from incidents.models import ActionItem, Incident, Review
from incidents.selectors import action_items as selectors
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.selectors.reports import report_url
from incidents.selectors.reviews import get_review
from incidents.selectors.tasks import owner_choices
from incidents.services import action_items as commands
from incidents.states import ActionItemKind, ActionItemState
from incidents.views.incidents import BackToIncident, IncidentCommand

LAST_PAGE = 200
STATES = (
    ("Not finished", selectors.UNFINISHED_STATE),
    *((str(state.label), state.value) for state in ActionItemState),
)


@reading
def action_items(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is to be done after incidents: one's own first, what is overdue on top."""
    moment = utcnow()
    ask, number = _asked(request, actor)
    page = selectors.page_of_action_items(actor, ask, page=number, now=moment)

    def address(**changes: str) -> str:
        chosen = {
            "state": ask.state,
            "owner": ask.owner,
            "kind": ask.kind,
            "service": ask.service,
            "late": "1" if ask.overdue else "",
            **changes,
        }
        query = {k: v for k, v in chosen.items() if v and (k, v) != ("state", selectors.UNFINISHED_STATE)}
        return reverse("incidents:action_items") + (f"?{urlencode(query)}" if query else "")

    owners = [("Anybody", ""), ("Mine", "me"), ("Nobody", "nobody")]
    owners += [(name, name) for name in selectors.owners_with_items(actor) if name != actor.label]
    services = [("Any service", "")]
    services += [(name, slug) for slug, name in selectors.services_with_items(actor)]
    kinds = [("Any kind", ""), *((str(kind.label), kind.value) for kind in ActionItemKind)]

    def choices(key: str, label: str, options: Any, current: str) -> dict[str, Any]:
        shown = [{"label": t, "url": address(**{key: v}), "current": v == current} for t, v in options]
        return {"key": key, "label": label, "options": shown}

    context = {
        "live": Live(reverse("incidents:action_items"), "action-items"),
        "items": page.lines,
        "counts": selectors.count_action_items(actor, now=moment),
        "mine_url": address(owner="me", state=selectors.UNFINISHED_STATE, late=""),
        "overdue_url": address(late="1", state=selectors.UNFINISHED_STATE),
        "filtered": ask != selectors.ActionItemAsk() or number > 1,
        "filters": [
            choices("state", "State", STATES, ask.state),
            choices("owner", "Owner", owners, ask.owner),
            choices("kind", "Kind", kinds, ask.kind),
            *([choices("service", "Service", services, ask.service)] if len(services) > 1 else []),
            choices("late", "Due", [("Any day", ""), ("Overdue", "1")], "1" if ask.overdue else ""),
        ],
        "new_url": reverse("incidents:action_item_new"),
        "why_not": why_not_allowed(actor, "respond"),
        "previous_url": address(page=str(number - 1)) if number > 1 else None,
        "next_url": address(page=str(number + 1)) if page.more and number < LAST_PAGE else None,
    }
    return render_page(request, "incidents/action_items.html", context)


def _asked(request: HttpRequest, actor: Actor) -> tuple[selectors.ActionItemAsk, int]:
    """Only values that are known words are asked for, and end up in an address."""
    query = page_query(request)
    state, kind = query.get("state", ""), query.get("kind", "")
    owner, service, page = query.get("owner", ""), query.get("service", ""), query.get("page", "")
    known = {"me", "nobody", *selectors.owners_with_items(actor)}
    ask = selectors.ActionItemAsk(
        state=state if state in ActionItemState.values else selectors.UNFINISHED_STATE,
        owner=owner if owner in known else "",
        kind=kind if kind in ActionItemKind.values else "",
        service=service if service in dict(selectors.services_with_items(actor)) else "",
        overdue=query.get("late") == "1",
    )
    number = int(page) if page.isascii() and page.isdecimal() and len(page) < 5 else 1
    return ask, min(max(number, 1), LAST_PAGE)


@reading
def action_item(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """One action item: where a reminder leads."""
    try:
        item = selectors.get_action_item(actor, pk)
    except NotFound as error:
        raise Http404(error.message) from error
    context = {
        "live": Live(selectors.action_item_url(pk), "action-items"),
        "item": selectors.show_action_item(actor, item, now=utcnow()),
        "why_not": why_not_allowed(actor, "respond"),
    }
    return render_page(request, "incidents/action_item.html", context)


class NewActionItem(BackToIncident):
    """One that belongs to no incident."""

    form_class = action_item_forms.ActionItemForm
    title = "Add an action item"
    submit_label = "Add"

    def form_arguments(self) -> dict[str, Any]:
        return {"owners": owner_choices(None)}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.create_action_item(actor=self.actor, now=now, **data)
        return "The action item is added."

    def back_url(self) -> str:
        return reverse("incidents:action_items")


class FromReport(CommandView):
    """A command that leads back to the incident's report where it was begun there, by `?back=report`."""

    def comes_from_report(self) -> bool:
        return self.request.GET.get("back") == "report"

    def action_url(self) -> str:
        address = super().action_url()
        return f"{address}?back=report" if self.comes_from_report() else address


class NewActionItemOf(FromReport, IncidentCommand):
    """One of the incident that the address names."""

    form_class = action_item_forms.ActionItemForm
    title = "Add an action item"
    submit_label = "Add"

    def form_arguments(self) -> dict[str, Any]:
        return {"owners": owner_choices(self.incident)}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.create_action_item(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return "The action item is added."

    def back_url(self) -> str:
        return report_url(self.incident.ref) if self.comes_from_report() else super().back_url()


class NewActionItemOfReview(CommandView):
    """One of the review that the address names."""

    form_class = action_item_forms.ActionItemForm
    title = "Add an action item"
    submit_label = "Add"
    review: Review

    def load(self, **kwargs: Any) -> None:
        self.review = get_review(self.actor, kwargs["pk"])

    def form_arguments(self) -> dict[str, Any]:
        return {"owners": owner_choices(self.review.incident)}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.create_action_item(review_id=self.review.pk, actor=self.actor, now=now, **data)
        return "The action item is added."

    def back_url(self) -> str:
        return reverse("incidents:review", args=[self.review.pk])


class TakeOverTasks(IncidentCommand):
    title = "Make action items of the open tasks"
    submit_label = "Make them"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        made = commands.take_over_tasks(incident_id=self.incident.pk, actor=self.actor, now=now)
        return f"{len(made)} action item{'' if len(made) == 1 else 's'} made of open tasks."

    def extra_context(self) -> dict[str, Any]:
        texts = ["Each open task ends and goes on as an action item, with its owner and the day it is due."]
        return {"consequences": texts}


class ItemCommand(FromReport, BackToIncident):
    """A command on one action item."""

    item: ActionItem

    def load(self, **kwargs: Any) -> None:
        self.item = selectors.get_action_item(self.actor, kwargs["pk"])

    def back_url(self) -> str:
        if self.item.incident is not None:
            if self.comes_from_report():
                return report_url(self.item.incident.ref)
            if self.comes_from_incident():
                return incident_url(self.item.incident.ref)
        if self.request.GET.get("back") == "review" and self.item.review_id is not None:
            return reverse("incidents:review", args=[self.item.review_id])
        return reverse("incidents:action_items")

    def action_url(self) -> str:
        back = self.request.GET.get("back")
        return f"{self.request.path}?back=review" if back == "review" else super().action_url()

    def address(self, now: dt.datetime) -> dict[str, Any]:
        """Which item, and by whom, as the services take it."""
        return {"item_id": self.item.pk, "actor": self.actor, "now": now}

    def extra_context(self) -> dict[str, Any]:
        return {"title": f"{self.title}: {self.item.title}"}


class EditActionItem(ItemCommand):
    form_class = action_item_forms.EditActionItemForm
    title = "Change the action item"
    submit_label = "Save"

    def form_arguments(self) -> dict[str, Any]:
        return {"owners": owner_choices(self.item.incident), "item": self.item}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        rows = ActionItem.objects.filter(pk=self.item.pk)
        about = self.item.incident
        before = [Incident.objects.filter(pk=about.pk)] if about else []
        # The form was compared with this version, so it must still be that.
        with at_version(rows, {self.item.version}, after=before):
            commands.edit_action_item(**self.address(now), **data)
        return "The action item is saved."


class CompleteActionItem(ItemCommand):
    form_class = action_item_forms.DoneForm
    title = "Done"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.complete_action_item(**self.address(now), **data)
        return f"{self.item.title} is done."


class DropActionItem(ItemCommand):
    form_class = forms.ReasonForm
    title = "Drop the action item"
    submit_label = "Drop it"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.drop_action_item(**self.address(now), **data)
        return f"{self.item.title} will not be done."


class ReopenActionItem(ItemCommand):
    title = "Open again"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.reopen_action_item(**self.address(now))
        return f"{self.item.title} is open again."
