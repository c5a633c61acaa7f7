"""Training that is recorded and lapses, and documents that are looked over."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from core.actors import Actor, ActorKind
from core.errors import Invalid, NotAllowed
from core.models import Event, User
from core.outbox import deliver_pending
from core.playbook import get_playbook, use_playbook
from incidents import policy
from incidents.facts import KeptText
from incidents.models import Document, Service, TrainingRecord
from incidents.selectors import documents as document_selectors
from incidents.selectors.documents import document_lines, is_document_due
from incidents.selectors.training import is_training_due, training_matrix
from incidents.services.documents import look_after_documents, review_document
from incidents.services.training import count_drill, record_training, remind_of_training
from rollbacks.services.drill_planning import plan_drill
from rollbacks.services.drill_running import cancel_drill, finish_drill, start_drill

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)


# --- training ------------------------------------------------------------------------------------


def test_one_session_is_recorded_for_all_who_took_part(commander: Actor, make_actor: MakeActor) -> None:
    make_actor("otto")
    both: dict[str, Any] = {"course": "procedures", "people": ["ida", "otto"]}
    records = record_training(**both, actor=commander, now=START)
    assert {(r.user.get_username(), r.due_at, r.current) for r in records} == {
        (name, START + 92 * DAY, True) for name in ("ida", "otto")
    }
    record_training(**both, actor=commander, now=START + DAY, done_at=START)  # said twice
    assert TrainingRecord.objects.count() == 2
    assert Event.objects.filter(kind="training.recorded").count() == 1
    record_training(course="procedures", people=["otto"], actor=commander, now=START + 5 * DAY)
    record_training(
        course="procedures", people=["otto"], actor=commander, now=START + 6 * DAY, done_at=START - DAY
    )
    current = TrainingRecord.objects.get(user__username="otto", current=True)
    assert current.done_at == START + 5 * DAY  # what was remembered later is older


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"course": "cooking"}, "course"),
        ({"people": []}, "people"),
        ({"people": ["nobody"]}, "people"),
        ({"done_at": START + DAY}, "done_at"),
    ],
)
def test_wrong_records_name_their_field(commander: Actor, wrong: dict[str, Any], field: str) -> None:
    asked = {"course": "procedures", "people": ["ida"], **wrong}
    with pytest.raises(Invalid) as refused:
        record_training(**asked, actor=commander, now=START)
    assert list(refused.value.fields) == [field]


def test_a_viewer_records_nothing(make_actor: MakeActor) -> None:
    with pytest.raises(NotAllowed):
        record_training(course="procedures", people=["vic"], actor=make_actor("vic", "viewer"), now=START)


def test_no_token_says_that_somebody_was_trained_or_that_a_document_was_read(commander: Actor) -> None:
    token = Actor(ActorKind.TOKEN, "ida (token ci)", commander.level, user_id=commander.user_id, token_id="1")
    with pytest.raises(NotAllowed, match="person"):
        record_training(course="procedures", people=["ida"], actor=token, now=START)
    look_after_documents(now=START)
    with pytest.raises(NotAllowed, match="person"):
        review_document(
            document_id=Document.objects.latest("pk").pk, outcome="unchanged", actor=token, now=START
        )
    assert not TrainingRecord.objects.exists()
    assert not Document.objects.filter(reviewed_at__isnull=False).exists()


def of_records(kind: str) -> list[tuple[dt.datetime, list[str]]]:
    rows = Event.objects.filter(kind=kind, data__has_key="record").order_by("seq")
    return [(event.occurred_at, event.data["to"]) for event in rows]


def test_the_person_is_reminded_before_it_lapses_and_every_week_after(
    commander: Actor, make_user: Any
) -> None:
    make_user("gone", "responder")
    record_training(course="procedures", people=["ida", "gone"], actor=commander, now=START)
    User.objects.get(username="gone").groups.clear()  # of whom nothing is asked any more
    for day in range(110):
        remind_of_training(now=START + day * DAY)
    due = START + 92 * DAY
    assert of_records("training.due") == [(due - 14 * DAY, ["account:ida"])]
    assert of_records("training.overdue") == [(due + 7 * n * DAY, ["account:ida"]) for n in range(3)]
    told = Event.objects.filter(kind="training.overdue", data__has_key="record").latest("seq")
    assert is_training_due(told)
    record_training(course="procedures", people=["ida"], actor=commander, now=due + 40 * DAY)
    assert not is_training_due(told)


def test_whoever_has_never_done_what_is_asked_is_reminded_of_it(
    commander: Actor, make_user: Any, make_actor: MakeActor
) -> None:
    make_actor("vic", "viewer")  # of whom the playbook asks nothing
    for day in range(20):
        remind_of_training(now=START + day * DAY)
    make_user("otto", "responder")
    record_training(course="rollback_drill", people=["ida"], actor=commander, now=START + 20 * DAY)
    for hours in range(20 * 24, 62 * 24, 12):
        remind_of_training(now=START + hours * DAY / 24)
    both = ["emergency_response", "procedures"]
    three = [*both, "rollback_drill"]
    asked = [
        (event.kind, event.occurred_at, event.data["to"], event.data["courses"])
        for event in Event.objects.filter(kind__startswith="training.", data__has_key="courses").order_by(
            "seq"
        )
    ]
    due, ida, otto = START + 30 * DAY, ["person:ida"], ["person:otto"]
    assert [one for one in asked if one[2] == ida] == [
        ("training.due", due - 14 * DAY, ida, three),
        *(("training.overdue", due + 7 * n * DAY, ida, both) for n in range(5)),
    ]
    assert [one for one in asked if one[2] == otto] == [
        ("training.due", due + 6 * DAY, otto, both),
        *(("training.overdue", due + (20 + 7 * n) * DAY, otto, both) for n in range(2)),
    ]
    assert len(asked) == 9
    told = Event.objects.filter(data__person="otto").latest("seq")
    assert told.summary == (
        f"Training that otto has not done yet was due {due + 20 * DAY:%Y-%m-%d}: Emergency response, New procedures"
    )
    assert is_training_due(told)
    record_training(course="procedures", people=["otto"], actor=commander, now=START + 62 * DAY)
    assert is_training_due(told)  # one of the two is left
    record_training(course="emergency_response", people=["otto"], actor=commander, now=START + 62 * DAY)
    assert not is_training_due(told)


def test_the_matrix_says_how_everybody_stands(
    commander: Actor, make_actor: MakeActor, make_user: Any
) -> None:
    make_actor("vic", "viewer")
    make_user("none", "responder").groups.clear()  # may not read: nobody's concern
    record_training(course="procedures", people=["ida"], actor=commander, now=START)
    record_training(course="emergency_response", people=["ida", "vic"], actor=commander, now=START)

    def states(now: dt.datetime) -> dict[str, list[str]]:
        return {row.name: [cell.state for cell in row.cells] for row in training_matrix(now=now).rows}

    assert states(START + DAY) == {"ida": ["valid", "valid", "never"], "vic": ["extra", "valid", "extra"]}
    assert states(START + 80 * DAY)["ida"] == ["soon", "valid", "never"]
    assert states(START + 92 * DAY)["ida"] == ["lapsed", "valid", "never"]
    assert states(START + 400 * DAY)["vic"] == ["extra", "extra", "extra"]  # not asked of a viewer


def test_a_drill_that_was_held_counts_for_who_took_part(
    commander: Actor, make_actor: MakeActor, shop: Service
) -> None:
    make_actor("otto")
    make_actor("left")
    by: dict[str, Any] = {"actor": commander, "now": START}
    drill = plan_drill(
        service="shop", scenario="bad_release", starts_at=START, participants=["ida", "left", "otto"], **by
    )
    start_drill(drill_id=drill.pk, **by)
    User.objects.filter(username="left").update(is_active=False)
    deliver_pending(now=START)
    assert not TrainingRecord.objects.exists()  # planned and begun is not taken part
    end = START + dt.timedelta(hours=1)
    finish_drill(drill_id=drill.pk, actor=commander, now=end)
    deliver_pending(now=end)
    records = TrainingRecord.objects.order_by("user__username")
    assert [(r.course, r.user.get_username(), r.done_at, r.source, r.current) for r in records] == [
        ("rollback_drill", name, end, str(drill.pk), True) for name in ("ida", "otto")
    ]
    count_drill(event=Event.objects.get(kind="drill.finished"), now=end)  # delivered twice
    assert TrainingRecord.objects.count() == 2


def test_a_drill_that_was_broken_off_counts_for_nobody(commander: Actor, shop: Service) -> None:
    by: dict[str, Any] = {"actor": commander, "now": START}
    drill = plan_drill(service="shop", scenario="bad_release", starts_at=START, participants=["ida"], **by)
    start_drill(drill_id=drill.pk, **by)
    cancel_drill(drill_id=drill.pk, reason="Something real", **by)
    deliver_pending(now=START)
    assert not TrainingRecord.objects.exists()


def test_the_database_holds_one_current_record(commander: Actor) -> None:
    [record] = record_training(course="procedures", people=["ida"], actor=commander, now=START)
    ida = User.objects.get(username="ida")
    with pytest.raises(IntegrityError, match="one_current_training_per_course"), transaction.atomic():
        TrainingRecord.objects.create(
            user=ida, course=record.course, done_at=START + DAY, due_at=START + 2 * DAY, recorded_at=START,
            recorded_by="x",
        )  # fmt: skip


# --- documents -----------------------------------------------------------------------------------


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[KeptText]:
    """The playbook keeps one procedure, which a test may change, and what reviews.yaml names."""
    kept = [KeptText("procedures", "restart", "Procedure Restart", "one")]
    monkeypatch.setattr(settings, "REVIEWED_TEXTS", ("incidents.selectors.documents.checklist_texts",))
    monkeypatch.setattr(document_selectors, "checklist_texts", lambda: tuple(kept))
    return kept


def test_the_shipped_playbook_lists_its_procedures_and_checklists() -> None:
    look_after_documents(now=START)
    kinds = {row.key.split(":")[0] for row in Document.objects.all()}
    assert kinds == {"document", "procedure", "checklist"}
    assert all(row.digest for row in Document.objects.exclude(key__startswith="document:"))
    assert look_after_documents(now=START + DAY) == 0


def test_a_document_is_reviewed_changes_and_is_due_again(texts: list[KeptText], commander: Actor) -> None:
    look_after_documents(now=START)
    row = Document.objects.get(key="procedure:restart")
    assert row.due_at == START + 90 * DAY

    def state(now: dt.datetime) -> str:
        return next(line.state for line in document_lines(now=now) if line.key == row.key)

    assert state(START) == "never"
    by: dict[str, Any] = {"document_id": row.pk, "actor": commander}
    with pytest.raises(Invalid):
        review_document(**by, outcome="changed", now=START + DAY)  # without saying what
    review_document(**by, outcome="changed", note="Waits longer", now=START + DAY)
    assert state(START + DAY) == "current"
    texts[0] = dataclasses.replace(texts[0], digest="two")
    look_after_documents(now=START + 2 * DAY)
    assert state(START + 2 * DAY) == "changed"
    review_document(**by, outcome="unchanged", now=START + 3 * DAY)
    assert state(START + 3 * DAY) == "current"
    assert state(START + 93 * DAY) == "overdue"
    texts.clear()
    look_after_documents(now=START + 94 * DAY)
    assert not Document.objects.get(pk=row.pk).active
    assert Event.objects.filter(kind="document.reviewed").count() == 2


def test_owners_are_reminded_before_and_every_week_after(texts: list[KeptText], commander: Actor) -> None:
    look_after_documents(now=START)
    row = Document.objects.get(key="procedure:restart")
    for hours in range(0, 24 * 110, 12):
        look_after_documents(now=START + hours * DAY / 24)
    due = START + 90 * DAY
    about = Event.objects.filter(data__document=row.key)
    assert [e.occurred_at for e in about.filter(kind="document.due")] == [due - DAY]
    late = list(about.filter(kind="document.overdue").order_by("seq"))
    assert [e.occurred_at for e in late] == [due + 7 * n * DAY for n in range(3)]
    assert late[0].data["to"] == ["technical_team"]
    assert is_document_due(late[0])
    review_document(document_id=row.pk, outcome="unchanged", actor=commander, now=START + 110 * DAY)
    assert not is_document_due(late[0])


def test_the_policy_itself_is_read_soon_and_changes_with_the_playbook(commander: Actor) -> None:
    look_after_documents(now=START)
    row = Document.objects.get(key="document:policy")
    assert (row.due_at, row.digest) == (START + 7 * DAY, get_playbook().digest)  # not in a year
    review_document(document_id=row.pk, outcome="unchanged", actor=commander, now=START + DAY)
    row.refresh_from_db()
    assert row.due_at == START + 366 * DAY
    with use_playbook(dataclasses.replace(get_playbook(), digest="0" * 64)):
        look_after_documents(now=START + 2 * DAY)
        [line] = [one for one in document_lines(now=START + 2 * DAY) if one.key == row.key]
    assert line.state == "changed"


def test_the_playbook_names_courses_and_documents_that_can_be() -> None:
    assert set(policy.training().courses) == {"procedures", "emergency_response", "rollback_drill"}
    assert {kind.cadence.value for kind in policy.reviews().reviews.values()} == {
        "weekly", "monthly", "quarterly", "annual",
    }  # fmt: skip
