"""Action items through the API: shapes, filters, versions, repeats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from core.actors import Actor
from core.models import User
from core.outbox import deliver_pending
from incidents.models import ActionItem, Incident
from incidents.services.incidents import declare_incident

ITEMS = "/api/v1/action-items/"
Program = Callable[..., APIClient]


def make(api: APIClient, **body: Any) -> dict[str, Any]:
    answer = api.post(ITEMS, {"title": "Look", **body})
    assert answer.status_code == 201, answer.json()
    return dict(answer.json())


def listed(api: APIClient, query: str = "") -> list[str]:
    return [row["title"] for row in api.get(ITEMS + query).json()["results"]]


def test_it_has_its_shape_and_goes_its_way(api: APIClient, incident: Incident) -> None:
    item = make(
        api, title="Alert on disk", incident=incident.ref, owner="ida", due_on="2020-02-29", kind="immediate"
    )
    assert {name: item[name] for name in ("incident", "kind", "owner", "due_on", "state", "overdue", "finished_at", "finished_by", "finished_note")} == {
        "incident": incident.ref, "kind": "immediate", "owner": "ida", "due_on": "2020-02-29", "state": "open", "overdue": True,
        "finished_at": None, "finished_by": None, "finished_note": "",
    }  # fmt: skip
    assert item["url"].endswith(f"/action-items/{item['id']}/")
    one = f"{ITEMS}{item['id']}/"
    changed = api.patch(one, {"state": "in_progress", "due_on": None})
    assert (changed.json()["state"], changed.json()["due_on"], changed["ETag"]) == (
        "in_progress",
        None,
        '"v2"',
    )
    assert api.post(f"{one}complete/", {"note": "at 80 %"}).json()["finished_note"] == "at 80 %"
    again = api.post(f"{one}complete/")
    assert (again.status_code, again.json()["code"], again.json()["state"]) == (
        409,
        "action_item_state",
        "done",
    )
    assert api.post(f"{one}reopen/").json()["finished_note"] == ""
    assert api.post(f"{one}drop/").status_code == 400
    assert api.post(f"{one}drop/", {"reason": "no disk"}).json()["state"] == "dropped"
    assert api.patch(one, {"title": "Other"}).status_code == 409


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"due_on": "2026-02-30"}, "/due_on"),
        ({"due_on": "2026-1-1"}, "/due_on"),
        ({"due_on": "2026-11-23T10:00:00Z"}, "/due_on"),
        ({"due_on": "2100-01-01"}, "/due_on"),
        ({"due_on": 20261123}, "/due_on"),
        ({"kind": "other"}, "/kind"),
        ({"owner": "nobody-at-all"}, "/owner"),
        ({"state": "done"}, "/state"),
    ],
)
def test_what_is_wrong_names_its_field(
    api: APIClient, incident: Incident, wrong: dict[str, Any], pointer: str
) -> None:
    answer = api.post(ITEMS, {"title": "Look", **wrong})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_sent_twice_with_a_key_it_is_one_and_an_older_version_is_refused(
    api: APIClient, incident: Incident
) -> None:
    first, second = (api.post(ITEMS, {"title": "Look"}, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == second.json() and ActionItem.objects.count() == 1
    one = f"{ITEMS}{first.json()['id']}/"
    assert api.patch(one, {"title": "Mine"}, headers={"If-Match": '"v1"'}).status_code == 200
    stale = api.patch(one, {"title": "Theirs"}, headers={"If-Match": '"v1"'})
    assert (stale.status_code, ActionItem.objects.get().title) == (412, "Mine")


def test_the_list_is_filtered(api: APIClient, incident: Incident) -> None:
    yesterday = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).date()
    make(api, title="late", due_on=yesterday.isoformat(), owner="ida")
    make(api, title="of it", incident=incident.ref, kind="long_term")
    done = make(api, title="done", due_on=yesterday.isoformat())
    api.post(f"{ITEMS}{done['id']}/complete/")
    expected = {
        "": ["done", "of it", "late"], "?open=true": ["of it", "late"], "?open=false": ["done"], "?overdue=true": ["late"],
        "?overdue=false": ["done", "of it"], "?owner=ida": ["late"], "?owner=nobody": ["done", "of it"], "?kind=long_term": ["of it"],
        f"?incident={incident.ref}": ["of it"], "?service=shop": ["of it"], "?service=nowhere": [], "?state=done": ["done"],
    }  # fmt: skip
    assert {query: listed(api, query) for query in expected} == expected
    assert api.get(f"{ITEMS}?wrong=1").status_code == 400


def test_drills_are_left_out_and_what_is_hidden_is_not_there(
    api: APIClient, person: Callable[[User], APIClient], make_user: Callable[..., User], commander: Actor, now: dt.datetime
) -> None:  # fmt: skip
    by: dict[str, Any] = {"actor": commander, "now": now, "severity": "P1"}
    drill = declare_incident(title="Exercise", drill=True, **by)
    secret = declare_incident(title="Leak", restricted=True, **by)
    make(api, title="rehearsed", incident=drill.ref)
    hidden = make(api, title="rotate", incident=secret.ref)
    assert listed(api) == ["rotate"]
    assert (listed(api, "?drill=true"), listed(api, "?drill=any")) == (["rehearsed"], ["rotate", "rehearsed"])
    rosa = person(make_user("rosa"))
    assert listed(rosa) == []
    assert rosa.get(f"{ITEMS}{hidden['id']}/").status_code == 404
    assert rosa.post(ITEMS, {"title": "x", "incident": secret.ref}).status_code == 404
    assert rosa.post(f"{ITEMS}{hidden['id']}/complete/").status_code == 404
    assert rosa.get(f"/action-items/{hidden['id']}/").status_code == 404


def test_they_cost_the_same_however_many_there_are(api: APIClient, incident: Incident) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as found:
            api.get(ITEMS)
        return len(found)

    make(api, owner="ida", incident=incident.ref)
    one = cost()
    for number in range(5):
        make(api, title=f"Look {number}", owner="ida", incident=incident.ref)
    assert cost() == one


def test_an_item_of_a_checklist_is_given_to_somebody(api: APIClient, incident: Incident) -> None:
    deliver_pending(now=dt.datetime.now(dt.UTC))
    at = f"/api/v1/incidents/{incident.ref}/checklists/emergency/items/assess_severity/assign/"
    assert api.post(at, {"user": "ida"}).json()["owner"] == "ida"
    assert api.post(at, {"user": None}).json()["owner"] is None
    assert api.post(at, {"user": "nobody-at-all"}).status_code == 400
    assert api.post(at, {}).status_code == 400


def test_open_tasks_are_taken_over_once_the_incident_is_resolved(
    api: APIClient, person: Callable[[User], APIClient], make_user: Callable[..., User], incident: Incident
) -> None:
    at = f"/api/v1/incidents/{incident.ref}"
    due = "2026-12-01T10:30:00Z"
    for body in ({"title": "Call them", "owner": "ida", "due_at": due}, {"title": "Some day"}):
        assert api.post(f"{at}/tasks/", body).status_code == 201
    early = api.post(f"{at}/tasks/take_over/")
    assert (early.status_code, early.json()["state"]) == (409, incident.status)
    assert api.post(f"{at}/resolve/", {"resolution": "fixed"}).status_code == 200
    assert api.post(f"{at}/tasks/take_over/", {"kind": "immediate"}).status_code == 400
    assert person(make_user("vic", "viewer")).post(f"{at}/tasks/take_over/").status_code == 403
    key = {"Idempotency-Key": "once"}
    first, second = (api.post(f"{at}/tasks/take_over/", headers=key) for _ in range(2))
    assert first.status_code == 200
    assert first.json() == second.json()
    assert [
        (row["title"], row["owner"], row["due_on"], row["incident"]) for row in first.json()["results"]
    ] == [
        ("Call them", "ida", "2026-12-01", incident.ref),
        ("Some day", None, None, incident.ref),
    ]
    assert {row["state"] for row in api.get(f"{at}/tasks/").json()["results"]} == {"dropped"}
    assert api.post(f"{at}/tasks/take_over/").json() == {"results": []}
    Incident.objects.filter(pk=incident.pk).update(restricted=True)
    rosa = person(make_user("rosa"))
    assert rosa.post(f"{at}/tasks/take_over/").status_code == 404
