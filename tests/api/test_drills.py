"""Drills and readiness by the API, and their pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.models import User
from core.outbox import deliver_pending
from incidents.models import Incident, Service
from rollbacks.models import Drill
from rollbacks.services.drill_sweep import look_after_drills
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
DRILLS = "/api/v1/drills/"


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


def test_what_is_real_goes_first(ada: Client, incident: Incident) -> None:
    Service.objects.update(procedure="storefront_rollback")
    made = post(ada, DRILLS, {"service": "shop", "scenario": "bad_release"}, 201)
    refused = post(ada, f"{DRILLS}{made['id']}/start/", {}, 409)
    assert refused["code"] == "drill_not_now"
    assert incident.ref in refused["detail"]


def test_readiness(ada: Client, shop: Service) -> None:
    Service.objects.update(procedure="storefront_rollback")
    (line,) = ada.get(f"{DRILLS}readiness/").json()["results"]
    assert line == {
        "service": "shop", "ready": False, "rehearsal": None, "overdue": False, "target": "1.9.0", "runner": False,
        "queue": "default",
    }  # fmt: skip


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
