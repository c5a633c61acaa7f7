"""Drills and readiness by the API, and their pages."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.actors import SYSTEM
from core.models import User
from core.outbox import deliver_pending
from incidents.models import Incident, Service
from incidents.services.incidents import declare_incident
from rollbacks.models import Drill, Rollback
from rollbacks.services.drill_sweep import look_after_drills
from tests.conftest import make_service
from tests.pages.test_many_services import make_many
from tests.rollbacks.test_drill_runs import rehearsed
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
DRILLS = "/api/v1/drills/"
BOARD = [
    ("fine", 10, "succeeded"),
    ("never", 0, ""),
    ("new", 0, ""),
    ("failed", 3, "failed"),
    ("by-hand", 95, "resolved_by_hand"),
    ("old", 94, "succeeded"),
]


@pytest.fixture
def ada(make_user: Callable[..., User]) -> Client:
    client = Client()
    sign_in(client, make_user("ada", "commander", "incident_commander"))
    return client


def post(client: Client, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = client.post(path, body, content_type="application/json")
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_drill_from_plan_to_debrief(ada: Client, shop: Service, now: dt.datetime) -> None:
    Service.objects.update(procedure="storefront_rollback")
    later = (now + dt.timedelta(days=3)).isoformat()
    body = {"service": "shop", "scenario": "bad_release", "starts_at": later, "participants": ["ada"]}
    made = post(ada, DRILLS, body, 201)
    one = f"{DRILLS}{made['id']}/"
    assert (made["state"], made["participants"], made["scorecard"]) == ("planned", ["ada"], None)
    running = post(ada, f"{one}start/", {})
    assert (running["state"], running["incident"] is not None) == ("running", True)
    assert post(ada, f"{one}start/", {})["incident"] == running["incident"]
    assert [line["result"] for line in running["scorecard"]["lines"]] == ["waiting"] * 5
    assert ada.get(f"{DRILLS}?state=running&service=shop").json()["results"][0]["id"] == made["id"]
    over = post(ada, f"{one}finish/", {"notes": "Too slow."})
    assert (over["state"], over["notes"], over["scorecard"]["passed"]) == ("finished", "Too slow.", False)
    assert post(ada, f"{one}debrief/", {"notes": "Much too slow."})["notes"] == "Much too slow."
    assert post(ada, f"{one}cancel/", {"reason": "no"}, 409)["state"] == "finished"
    assert ada.get("/api/v1/incidents/").json()["results"] == []
    assert len(ada.get("/api/v1/incidents/?drill=true").json()["results"]) == 1


def test_what_is_real_goes_first(ada: Client, incident: Incident, now: dt.datetime) -> None:
    at_once = {"service": "shop", "scenario": "bad_release"}
    refused = post(ada, DRILLS, at_once, 409)
    assert refused["code"] == "drill_not_now"
    made = post(ada, DRILLS, {**at_once, "starts_at": (now + dt.timedelta(hours=1)).isoformat()}, 201)
    refused = post(ada, f"{DRILLS}{made['id']}/start/", {}, 409)
    assert (refused["code"], refused["state"]) == ("drill_not_now", "planned")
    assert incident.ref in refused["detail"]
    page = ada.get(f"/drills/{made['id']}/").content.decode()
    assert f"{incident.ref} is open on Shop: a real incident goes before a drill." in page
    assert "/start/" not in page
    form = ada.post(f"/drills/{made['id']}/start/")
    assert (form.status_code, incident.ref in form.content.decode()) == (409, True)


LONG = "x" * 30_000
WRONG = [
    ({"service": None}, "/service"),
    ({"service": "nowhere"}, "/service"),
    ({"service": ["shop"]}, "/service"),
    ({"service": "a\0b"}, "/service"),
    ({"service": LONG}, "/service"),
    ({"scenario": "moon_landing"}, "/scenario"),
    ({"scenario": ""}, "/scenario"),
    ({"scenario": {"a": 1}}, "/scenario"),
    ({"starts_at": "tomorrow"}, "/starts_at"),
    ({"starts_at": 12}, "/starts_at"),
    ({"starts_at": "0001-01-01T00:00:00+14:00"}, "/starts_at"),
    ({"starts_at": "9999-12-31T23:59:59-12:00"}, "/starts_at"),
    ({"starts_at": "2020-01-01T00:00:00Z"}, "/starts_at"),
    ({"participants": "ada"}, "/participants"),
    ({"participants": ["nobody"]}, "/participants"),
    ({"participants": ["\u200b"]}, "/participants"),
    ({"participants": ["ada"] * 51}, "/participants"),
    ({"participants": [{"a": 1}]}, "/participants"),
    ({"page_people": "yes"}, "/page_people"),
    ({"page_people": 1}, "/page_people"),
    ({"slot": "2026-01-01T10:00"}, "/slot"),
]


@pytest.mark.parametrize(("wrong", "pointer"), WRONG)
def test_nonsense_is_refused_beside_its_field(
    ada: Client, shop: Service, wrong: dict[str, Any], pointer: str
) -> None:
    problem = post(ada, DRILLS, {"service": "shop", "scenario": "bad_release", **wrong}, 400)
    assert pointer in [error["pointer"][: len(pointer)] for error in problem["errors"]], problem
    assert not Drill.objects.exists()


def test_nonsense_about_a_drill_changes_nothing(ada: Client, shop: Service) -> None:
    made = post(ada, DRILLS, {"service": "shop", "scenario": "bad_release"}, 201)
    one = f"{DRILLS}{made['id']}/"
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("start", {"now": True}), ("cancel", {}), ("cancel", {"reason": " "}), ("cancel", {"reason": LONG}),
        ("cancel", {"reason": ["x"]}), ("finish", {"notes": LONG}), ("finish", {"notes": 1}), ("debrief", {}),
        ("debrief", {"notes": ""}), ("debrief", {"notes": "a\0b"}),
    ]  # fmt: skip
    for verb, body in wrong:
        problem = post(ada, f"{one}{verb}/", body, 400)
        assert problem["errors"], (verb, body)
    early: list[tuple[str, dict[str, Any]]] = [("finish", {}), ("debrief", {"notes": "early"})]
    for verb, body in early:
        assert post(ada, f"{one}{verb}/", body, 409)["state"] == "planned"
    assert ada.get(one).json() == made
    for nowhere in ("0", "99999999999999999999", "9" * 400):
        assert ada.get(f"{DRILLS}{nowhere}/").status_code == 404
        assert ada.get(f"/drills/{nowhere}/").status_code == 404
        assert ada.post(f"/drills/{nowhere}/cancel/", {"reason": "x"}).status_code == 404
    for query in (
        "state=lost",
        "scenario=" + "x" * 61,
        "drill=true",
        "page=2",
        "state=planned&state=running",
    ):
        assert ada.get(f"{DRILLS}?{query}").status_code == 400, query
    for query in (
        "page=0", "page=1e3", "page=10001", "overdue=maybe", "last=soon", "cursor=x", "page_size=0", "x=1",
        "service=" + "x" * 61,
    ):  # fmt: skip
        assert ada.get(f"{DRILLS}readiness/?{query}").status_code == 400, query
    assert ada.get("/drills/?show=nonsense&page=-1").status_code == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"scenario": "moon_landing"}, "scenario"),
        ({"scenario": ""}, "scenario"),
        ({"service": ""}, "service"),
        ({"service": "nowhere"}, "service"),
        ({"service": "shop, mail"}, "service"),
        ({"service": "a\0b"}, "service"),
        ({"starts_at": "soon"}, "starts_at"),
        ({"starts_at": "0001-01-01T00:00"}, "starts_at"),
        ({"starts_at": "9999-12-31T23:59"}, "starts_at"),
        ({"participants": "nobody"}, "participants"),
        ({"participants": ",".join(f"a{n}" for n in range(51))}, "participants"),
        ({"participants": "x" * 2_001}, "participants"),
    ],
)
def test_a_form_with_nonsense_comes_back_with_it_beside_its_field(
    ada: Client, shop: Service, wrong: dict[str, str], field: str
) -> None:
    answer = ada.post("/drills/new/", {"scenario": "bad_release", "service": "shop", **wrong})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Drill.objects.exists()


def test_readiness(ada: Client, shop: Service) -> None:
    Service.objects.update(procedure="storefront_rollback")
    (line,) = ada.get(f"{DRILLS}readiness/").json()["results"]
    assert line == {
        "service": "shop", "ready": False, "rehearsal": None, "overdue": False, "target": "1.9.0", "runner": False,
        "queue": "default",
    }  # fmt: skip


def test_readiness_is_asked_for_what_is_worst(ada: Client, now: dt.datetime) -> None:
    """By service, by how the last rehearsal went and whether the next is overdue, in pages by number."""
    incident = declare_incident(actor=SYSTEM, now=now, title="Practice", severity="P1", drill=True)
    for number, (name, days, state) in enumerate(BOARD):
        service = make_service(name, now)
        Service.objects.filter(pk=service.pk).update(created_at=now - dt.timedelta(days=100))
        if state:
            rehearsed(incident, service, now - dt.timedelta(days=days), state, number)
    Service.objects.filter(slug="new").update(created_at=now)

    def asked(query: str = "") -> list[str]:
        answer = ada.get(f"{DRILLS}readiness/?{query}")
        assert answer.status_code == 200, answer.content
        return [line["service"] for line in answer.json()["results"]]

    everything = ["never", "new", "by-hand", "failed", "old", "fine"]
    assert asked() == everything
    assert asked("overdue=true") == ["never", "by-hand", "old"]
    assert sorted(asked("overdue=false")) == ["failed", "fine", "new"]
    assert asked("last=never") == ["never", "new"]
    assert asked("last=failed") == ["by-hand", "failed"]
    assert asked("last=succeeded&overdue=true") == ["old"]
    assert asked("service=fine") == ["fine"]
    assert asked("service=nowhere") == []
    seen, address = [], f"{DRILLS}readiness/?page_size=4"
    while address:
        answer = ada.get(address).json()
        seen.append([line["service"] for line in answer["results"]])
        before, address = answer["previous"], answer["next"]
    assert seen == [everything[:4], everything[4:]]
    assert before is not None
    page = ada.get("/drills/?show=overdue").content.decode()
    assert [name for name in everything if f"/services/{name}/" in page] == ["never", "by-hand", "old"]
    assert re.findall(r">(All|Overdue|Never rehearsed|Failed) <span[^>]*>(\d+)<", page) == [
        ("All", "6"), ("Overdue", "3"), ("Never rehearsed", "2"), ("Failed", "2"),
    ]  # fmt: skip
    Rollback.objects.all().delete()
    assert "None like that" in ada.get("/drills/?show=failed").content.decode()


def test_a_thousand_services_are_pages_of_the_same_cost(ada: Client, now: dt.datetime) -> None:
    make_many(now, 1_000)
    Service.objects.update(procedure="storefront_rollback")
    ada.get("/drills/")  # what is read once for all
    with CaptureQueriesContext(connection) as few:
        first = ada.get("/drills/", headers={"Accept-Encoding": "gzip"})
    with CaptureQueriesContext(connection) as many:
        ada.get("/drills/?show=never&page=20")
    assert len(few) == len(many) <= 20, [len(few), len(many)]
    assert len(first.context["board"].lines) == 50
    assert len(first.content) < 50_000, "compressed"
    assert 'rel="next"' in ada.get("/drills/").content.decode()
    assert len(ada.get(f"{DRILLS}readiness/?page_size=200").json()["results"]) == 200


def test_the_pages(ada: Client, shop: Service, now: dt.datetime, django_assert_num_queries: Any) -> None:
    Service.objects.update(procedure="storefront_rollback")
    assert b"None planned" in ada.get("/drills/").content
    dialog = ada.get("/drills/new/?service=shop").content.decode()
    assert "A bad release (P0)" in dialog
    assert 'value="shop"' in dialog
    sent = {"scenario": "bad_release", "service": "shop", "participants": "ada"}
    answer = ada.post("/drills/new/", sent)
    drill = Drill.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/drills/{drill.pk}/")
    look_after_drills(now=now + dt.timedelta(minutes=2))
    drill.refresh_from_db()
    page = ada.get(f"/drills/{drill.pk}/").content.decode()
    assert "DRILL: nothing here touches production" in page
    assert (
        "Error rate 8.3 %" in ada.get(f"/drills/{drill.pk}/?panel=injects").content.decode()
        or drill.injects_sent == 0
    )
    incident = Incident.objects.get()
    assert f'href="/drills/{drill.pk}/"' in ada.get(f"/incidents/{incident.ref}/").content.decode()
    ada.post(f"/drills/{drill.pk}/finish/", {"notes": "Quick."})
    deliver_pending(now=now)
    page = ada.get(f"/drills/{drill.pk}/").content.decode()
    assert "Quick." in page
    assert "Not done" in page
    assert "0 of 5" in ada.get("/drills/").content.decode()
    assert ada.get("/drills/?page=99999999999999999999").status_code == 200
    assert ada.post("/drills/new/", {**sent, "service": "shop, mail"}).status_code == 422
