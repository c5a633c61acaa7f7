"""Every form that writes: opened by two, sent by both, the second one is told; or the table says why not."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from comms.models import Component, ConnectionSettings, Message, WebhookEndpoint
from comms.services.connections import set_connection
from comms.services.external import draft_message, edit_message
from comms.services.webhooks import create_webhook
from core.actors import SYSTEM, Actor
from core.admin import CarefulFormSet, CarefulMixin, ReadOnlyAdmin, ReadOnlyInline
from core.careful_forms import CarefulForm, WholeForm
from core.clock import utcnow
from core.differing import MOST, side_by_side
from core.errors import Conflict
from core.models import Event, User
from core.views.commands import CommandView
from incidents.models import Incident, Report, Review, RoleGrant, Service
from incidents.services.action_items import create_action_item
from incidents.services.checklists import answer_event
from incidents.services.people import RoleHeld, assign_role, release_role
from incidents.services.tasks import create_task
from rollbacks.models import Drill, Rollback
from rollbacks.policy import drill_plan
from rollbacks.services.editing import edit_rollback
from rollbacks.services.requests import PlanChanged, approve_rollback, request_rollback
from tests.comms.outside import make_outside
from tests.pages.conftest import SignIn
from tests.pages.test_two_people import admin_form, opened

ADDS = "adds something of its own: nothing that is there is replaced"
MOVES = "moves a state, and the service refuses the second one by the state it finds"
ENDS = "ends or switches the thing as a whole, whatever its words are, and writes none"
AGAIN = "asks for the same once more"

NOTHING_TO_OVERWRITE = {
    "Abort": MOVES,
    "Acknowledge": MOVES,
    "AddNote": ADDS,
    "AddResponder": ADDS,
    "Attach": ADDS,
    "Automation": MOVES,
    "CancelDrill": MOVES,
    "FinishDrill": MOVES,
    "PlanDrill": ADDS,
    "StartDrill": MOVES,
    "OpenReview": ADDS,
    "OpenRetrospective": ADDS,
    "ReviewDocument": ADDS,
    "SignOffReview": MOVES,
    "RecordTraining": ADDS,
    "Cancel": MOVES,
    "CheckCriteria": ADDS,
    "Close": MOVES,
    "CompleteTask": MOVES,
    "Compose": ADDS,
    "Confirm": MOVES,
    "Declare": ADDS,
    "DisableWebhook": ENDS,
    "DropTask": MOVES,
    "EnableWebhook": ENDS,
    "EndMaintenance": MOVES,
    "EndSilence": MOVES,
    "Escalate": ADDS,
    "ForgetProcess": ENDS,
    "HandOver": MOVES,
    "LiftQuarantine": MOVES,
    "MarkStepDone": MOVES,
    "NewMaintenance": ADDS,
    "NewSilence": ADDS,
    "NewActionItem": ADDS,
    "NewActionItemOf": ADDS,
    "NewActionItemOfReview": ADDS,
    "NewTask": ADDS,
    "NewWebhook": ADDS,
    "PageForRole": ADDS,
    "Quarantine": MOVES,
    "Reject": MOVES,
    "RemoveConnection": ENDS,
    "RemoveWebhook": ENDS,
    "CompleteActionItem": MOVES,
    "DropActionItem": MOVES,
    "ReopenActionItem": MOVES,
    "ReopenTask": MOVES,
    "TakeOverTasks": MOVES,
    "Reopen": MOVES,
    "ReplayDelivery": AGAIN,
    "ReplayEvents": AGAIN,
    "RequestRollback": ADDS,
    "Resolve": MOVES,
    "Restrict": MOVES,
    "Return": MOVES,
    "Revise": MOVES,
    "Submit": MOVES,
    "Retry": MOVES,
    "RetryDeliveries": AGAIN,
    "RetryDelivery": AGAIN,
    "RetryParked": AGAIN,
    "RotateSecret": "makes a new secret, whoever asks; the one before goes on for a day",
    "SendTest": AGAIN,
    "Tick": MOVES,
    "TryChannel": AGAIN,
    "Undo": MOVES,
    "Unrestrict": MOVES,
    "Untick": MOVES,
    "Withdraw": MOVES,
}


MINUTE = dt.timedelta(minutes=1)
LONG = "Every payment by card fails since the deployment of the new gateway, and so do refunds by hand."
REASON = {"reason": "It is the right thing to do"}


@dataclass(frozen=True)
class World:
    """What the forms are about, and how the first of two goes about it."""

    incident: Incident
    rollback: Rollback
    draft: Message
    component: Component
    webhook: WebhookEndpoint
    task: int
    item: int
    drill: int
    review: int
    by: dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """Where the form is, what the second one sends, and what the first one did since it was opened.

    The first one's is what they send with the same form, or something that happens.
    """

    at: str
    mine: dict[str, Any]
    theirs: dict[str, Any] | Callable[[World], object]
    who: str = "ida"


def take(role: str) -> Callable[[World], object]:
    def taken(world: World) -> None:
        rosa = User.objects.get(username="rosa")
        RoleGrant.objects.create(user=rosa, role=role)
        assign_role(incident_id=world.incident.pk, role=role, username="rosa", **world.by)

    return taken


def plan_another(world: World) -> None:
    edit_rollback(rollback_id=world.rollback.pk, changes={"target_version": "1.8.0"}, **world.by)


def judge(world: World) -> None:
    said = {"judged_by": "rosa", "judged_at": utcnow(), "judged_reason": "Only a spike"}
    Rollback.objects.filter(pk=world.rollback.pk).update(false_positive=True, **said)


def reword(world: World) -> None:
    edit_message(message_id=world.draft.pk, title="Rosa's title", **world.by)


def write_more(world: World) -> None:
    create_action_item(incident_id=world.incident.pk, title="More than we knew", **world.by)


def connect(world: World) -> None:
    ConnectionSettings.objects.create(name="slack", sealed="x", changed_at=utcnow(), changed_by="rosa")


EDITS = {
    "incidents.Edit": Edit("{incident}edit/", {"impact": f"{LONG} Ida"}, {"impact": f"{LONG} Rosa"}),
    "incidents.Update": Edit(
        "{incident}update/",
        {"message": "We look", "severity": "P1"},
        {"message": "We look as well", "severity": "P2"},
    ),
    "incidents.ChangeSeverity": Edit(
        "{incident}severity/", {"severity": "P1", **REASON}, {"severity": "P2", **REASON}
    ),
    "incidents.SetSecurityLevel": Edit(
        "{incident}security-level/",
        {"level": "1", **REASON},
        lambda world: Incident.objects.filter(pk=world.incident.pk).update(security_level=2),
    ),
    "tasks.EditTask": Edit(
        "{incident}tasks/{world.task}/edit/", {"title": "Ida's task"}, {"title": "Rosa's task"}
    ),
    "incidents.AssignItem": Edit(
        "{incident}checklists/emergency/preserve_evidence/assign/", {"user": "ida"}, {"user": "rosa"}
    ),
    "action_items.EditActionItem": Edit(
        "/action-items/{world.item}/edit/", {"title": "Ida's item"}, {"title": "Rosa's item"}
    ),
    "drills.DebriefDrill": Edit(
        "/drills/{world.drill}/debrief/", {"notes": f"{LONG} Ida"}, {"notes": f"{LONG} Rosa"}
    ),
    "reviews.WriteReview": Edit(
        "/reviews/{world.review}/write/", {"decisions": f"{LONG} Ida"}, {"decisions": f"{LONG} Rosa"}
    ),
    "reviews.HoldReview": Edit(
        "/reviews/{world.review}/hold/",
        {"decisions": "Ida's", "attendees": ["ida"]},
        lambda _world: Review.objects.update(decisions="Rosa's"),
    ),
    "incidents.TakeRole": Edit("{incident}roles/technical_lead/take/", {}, take("technical_lead")),
    "incidents.AssignRole": Edit(
        "{incident}roles/technical_lead/assign/", {"username": "ida"}, take("technical_lead")
    ),
    "incidents.ReleaseRole": Edit(
        "{incident}roles/incident_commander/release/", {}, take("incident_commander")
    ),
    "rollbacks.Edit": Edit("{rollback}edit/", {"target_version": "1.7.0"}, plan_another),
    "rollbacks.Approve": Edit("{rollback}approve/", {}, plan_another),
    "rollbacks.BreakGlass": Edit("{rollback}break_glass/", REASON, plan_another),
    "rollbacks.Judge": Edit("{rollback}judge/", {"false_positive": "no", **REASON}, judge),
    "messages.EditMessage": Edit(
        "{draft}edit/", {"update_text": f"{LONG} Ida"}, {"update_text": f"{LONG} Rosa"}
    ),
    "messages.ApproveMessage": Edit("{draft}approve/", {}, reword),
    "messages.DiscardMessage": Edit("{draft}discard/", {}, reword),
    "messages.SetComponent": Edit(
        "/components/{world.component.public_id}/state/",
        {"state": "degraded_performance", **REASON},
        lambda _world: Component.objects.update(state="partial_outage"),
    ),
    "reports.EditSection": Edit(
        "{incident}report/sections/impact/", {"text": f"{LONG} Ida"}, {"text": f"{LONG} Rosa"}
    ),
    "reports.EditRow": Edit(
        "{incident}report/timeline/1/",
        {"event_text": "Ida's words"},
        {"event_text": "Rosa's words"},
    ),
    "reports.Give": Edit("{incident}report/give/", {"owner": "ida"}, {"owner": "rosa"}),
    "reports.Publish": Edit("{incident}report/publish/", {}, write_more),
    "webhooks.EditWebhook": Edit(
        "/webhooks/{world.webhook.pk}/edit/",
        {"description": "Ada's"},
        lambda _world: WebhookEndpoint.objects.update(description="Rosa's"),
        who="ada",
    ),
    "channels.SetUpConnection": Edit(
        "/channels/connections/slack/set/", {"token": "xoxb-of-ada-1234567890"}, connect, who="ada"
    ),
}


def doors(resolver: URLResolver | None = None) -> Iterator[type[CommandView]]:
    """The class of every form of a page."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "view_class", None)
            if view is not None and issubclass(view, CommandView):
                yield view
        else:
            yield from doors(pattern)


def name_of(view: type[CommandView]) -> str:
    return f"{view.__module__.rpartition('.')[2]}.{view.__name__}"


def test_every_form_is_in_the_one_table_or_the_other() -> None:
    found = {name_of(view): view for view in doors()}
    excused = {name for name in found if name.partition(".")[2] in NOTHING_TO_OVERWRITE} - EDITS.keys()
    assert sorted(found.keys() - excused) == sorted(EDITS), "a form that two may open needs its row"
    assert {name.partition(".")[2] for name in excused} == NOTHING_TO_OVERWRITE.keys()
    for name in EDITS:
        assert issubclass(found[name].form_class, CarefulForm | WholeForm), name
    for name in excused:
        assert not issubclass(found[name].form_class, CarefulForm | WholeForm), f"{name} needs a row"


@pytest.fixture
def world(shop: Service, commander: Actor, now: dt.datetime) -> World:
    incident = make_outside(shop, commander, now).incident
    by: dict[str, Any] = {"actor": commander, "now": now}
    for version in ("1.7.0", "1.8.0"):
        at = now - dt.timedelta(days=9)
        shop.releases.create(version=version, state="good", deployed_at=at, recorded_at=at, good_at=at)
    Report.objects.create(incident=incident, drafted_at=now, due_at=now)
    webhook, _secret = create_webhook(url="http://1.1.1.1/", actor=SYSTEM, now=now)
    declared = Event.objects.get(stream=incident.stream, kind="incident.declared")
    answer_event(event=declared, now=now)  # its checklists
    return World(
        incident=incident,
        rollback=request_rollback(incident_id=incident.pk, service="shop", reason="errors", **by),
        draft=draft_message(incident_id=incident.pk, template="external_update", **by),
        component=Component.objects.get(service=shop),
        webhook=webhook,
        task=create_task(incident_id=incident.pk, title="Look", **by).pk,
        item=create_action_item(title="Look", **by).pk,
        drill=Drill.objects.create(
            service=shop,
            scenario="bad_release",
            plan=drill_plan("bad_release"),
            planned_by="boss",
            planned_at=now,
            starts_at=now,
            state="finished",
            incident=incident,
            started_at=now,
            deadline_at=now,
            ended_at=now,
            scorecard={"lines": []},
        ).pk,
        review=Review.objects.create(
            name="Look back", begins_at=now - MINUTE, ends_at=now, opened_at=now, opened_by="boss", due_at=now
        ).pk,
        by=by,
    )


@pytest.mark.parametrize("name", EDITS)
def test_what_was_changed_since_the_form_was_opened_is_told_once(
    ida: Client, sign_in: SignIn, world: World, name: str
) -> None:
    edit = EDITS[name]
    RoleGrant.objects.get_or_create(user=User.objects.get(username="ida"), role="technical_lead")
    rosa = sign_in("rosa", "responder")
    second = ida if edit.who == "ida" else sign_in(edit.who, "administrator")
    at = edit.at.format(
        world=world,
        incident=f"/incidents/{world.incident.ref}/",
        rollback=f"/rollbacks/{world.rollback.ref}/",
        draft=f"/messages/{world.draft.pk}/",
    )
    seen = opened(second, at)
    assert 'name="seen"' in second.get(at).content.decode(), "the page carries what was seen"
    if callable(edit.theirs):
        edit.theirs(world)
    else:
        assert rosa.post(at, opened(rosa, at) | edit.theirs).status_code == 302
    refused = second.post(at, seen | edit.mine)
    assert refused.status_code == 409, refused.status_code
    form = refused.context["form"]
    assert form.conflicts
    for field, typed in edit.mine.items():
        assert form[field].value() in (typed, None), "what was typed is kept; a secret is not shown"
    said = html.unescape(refused.content.decode())
    if any(LONG in str(text) for text in edit.mine.values()):
        assert "Both stand here" in said
        assert "<mark>Rosa</mark>" in said and "<mark>Ida</mark>" in said
    shown = {field: form[field].value() for field in form.fields}
    again = second.post(at, {k: v for k, v in (shown | edit.mine).items() if v is not None})
    assert again.status_code == 302 or not again.context["form"].conflicts, "sent again, it is meant"


def test_an_unseen_change_of_a_draft_is_not_lost_with_the_rest(
    ida: Client, sign_in: SignIn, world: World
) -> None:
    at, rosa = f"/messages/{world.draft.pk}/edit/", sign_in("rosa", "responder")
    of_ida, of_rosa = opened(ida, at), opened(rosa, at)
    assert (
        rosa.post(at, of_rosa | {"update_text": "Rosa's news", "expected_duration": "1 h"}).status_code == 302
    )
    assert ida.post(at, of_ida | {"root_cause": "A cable"}).status_code == 302
    world.draft.refresh_from_db()
    public = world.draft.public
    assert (public.update_text, public.expected_duration, public.root_cause) == (
        "Rosa's news",
        "1 h",
        "A cable",
    )
    assert "Rosa's news" in world.draft.body, "the whole text follows the fields"
    assert public.components, "what nobody touched is as it was"


# --- the services, for what slips in between ---------------------------------------------------------------


def test_a_role_is_taken_over_from_whom_one_saw(
    world: World, make_actor: Callable[..., Actor], now: dt.datetime
) -> None:
    rosa = make_actor("rosa", "responder", "incident_commander")
    ask: dict[str, Any] = {"incident_id": world.incident.pk, "role": "incident_commander"}
    with pytest.raises(RoleHeld):
        assign_role(**ask, username="rosa", actor=rosa, now=now, replaces="")
    with pytest.raises(RoleHeld):
        release_role(**ask, actor=world.by["actor"], now=now, replaces="rosa")
    assert assign_role(**ask, username="rosa", actor=rosa, now=now, replaces="IDA").user.username == "rosa"


def test_a_plan_is_approved_as_it_was_read(world: World) -> None:
    with pytest.raises(PlanChanged):
        approve_rollback(rollback_id=world.rollback.pk, plan_digest="0" * 64, **world.by)


def test_a_connection_replaces_the_one_that_was_seen(
    make_actor: Callable[..., Actor], now: dt.datetime
) -> None:
    ask: dict[str, Any] = {"name": "slack", "settings": {"token": "xoxb-of-ada-1234567890"}, "now": now}
    ada = make_actor("ada", "administrator")
    set_connection(**ask, actor=ada, replaces=None)
    with pytest.raises(Conflict):
        set_connection(**ask, actor=ada, replaces=None)
    set_connection(**ask, actor=ada, replaces=now)


# --- the admin -------------------------------------------------------------------------------------------


def test_every_table_of_the_admin_is_careful_or_read_only() -> None:
    tables: list[Any] = list(admin.site._registry.values())
    for table in tables:
        assert issubclass(type(table), CarefulMixin), table
        assert isinstance(table, ReadOnlyAdmin) or not table.list_editable, f"{table}: rows are edited unseen"
        for inline in table.inlines:
            careful = issubclass(inline.form, CarefulForm) and issubclass(inline.formset, CarefulFormSet)
            assert careful or issubclass(inline, ReadOnlyInline), inline


def grants_form(browser: Client, at: str) -> dict[str, Any]:
    """The account's form with its rows, as a browser would send it."""
    formset = browser.get(at).context["inline_admin_formsets"][0].formset
    found = admin_form(browser, at)
    for form in (formset.management_form, *formset.forms):
        found |= {
            form.add_prefix(name): form[name].value()
            for name in form.fields
            if form[name].value() is not None
        }
    return found


def test_a_grant_is_not_overwritten_nor_deleted_unseen(
    sign_in: SignIn, make_user: Callable[..., User]
) -> None:
    ada, rosa = sign_in("ada", "administrator"), make_user("rosa", "responder", "technical_lead")
    User.objects.filter(username="ada").update(is_staff=True)
    at = f"/admin/core/user/{rosa.pk}/change/"
    seen = grants_form(ada, at)
    prefix = next(name for name in seen if name.endswith("-0-role")).removesuffix("role")
    grant = RoleGrant.objects.get(user=rosa)
    RoleGrant.objects.filter(pk=grant.pk).update(role="security_lead")

    def held() -> list[str]:
        return sorted(RoleGrant.objects.filter(user=rosa).values_list("role", flat=True))

    refused = ada.post(at, seen | {f"{prefix}role": "communications_lead"})
    assert refused.status_code == 200
    assert "Meanwhile" in refused.content.decode()
    assert held() == ["security_lead"]
    refused = ada.post(at, seen | {f"{prefix}DELETE": "on"})
    assert refused.status_code == 200
    assert "Meanwhile somebody changed" in refused.content.decode()
    assert held() == ["security_lead"]
    again = refused.context["inline_admin_formsets"][0].formset.forms[0]["seen"].value()
    assert ada.post(at, seen | {f"{prefix}first_name": "x"}).status_code == 302, "untouched, it stays"
    assert held() == ["security_lead"]
    assert ada.post(at, seen | {f"{prefix}DELETE": "on", f"{prefix}seen": again}).status_code == 302
    assert held() == []


# --- what two texts differ in ----------------------------------------------------------------------------


def test_texts_side_by_side_are_whole_and_marked_where_they_differ() -> None:
    assert side_by_side("We look at it", "We look into it") == (
        (("We look ", False), ("at ", True), ("it", False)),
        (("We look ", False), ("into ", True), ("it", False)),
    )
    assert side_by_side("", "new") == ((), (("new", True),))
    assert side_by_side("same", "same") == ((("same", False),),) * 2


def test_texts_that_differ_everywhere_cost_no_more_than_others() -> None:
    one, other = "a b " * 2_500, "b a a\n" * 1_700
    assert len(one.split()) * len(other.split()) > 20 * MOST
    left, right = side_by_side(one, other)
    assert ("".join(text for text, _ in left), "".join(text for text, _ in right)) == (one, other)
