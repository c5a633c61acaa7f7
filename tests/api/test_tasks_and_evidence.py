"""Tasks and evidence through the API: shapes, versions, repeats, and files that are not what they say."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.utils import override_settings
from rest_framework.test import APIClient

from core.models import User
from incidents.models import Evidence, Incident, Task
from incidents.services.incidents import declare_incident
from tests.incidents.test_evidence import GIF, HTML, LOG, SVG, png

Program = Callable[..., APIClient]


@pytest.fixture
def at(incident: Incident) -> str:
    return f"/api/v1/incidents/{incident.ref}"


def test_a_task_has_its_shape_and_goes_its_way(api: APIClient, at: str) -> None:
    body = {"title": "Call the vendor", "owner": "ida", "due_at": "2026-11-20T10:30:00Z"}
    made = api.post(f"{at}/tasks/", body)
    assert (made.status_code, made["ETag"]) == (201, '"v1"')
    task = made.json()
    assert {name: task[name] for name in ("title", "owner", "due_at", "state", "overdue", "created_by", "finished_at", "finished_by")} == {
        **body, "state": "open", "overdue": True, "created_by": "ida", "finished_at": None, "finished_by": None,
    }  # fmt: skip
    one = f"{at}/tasks/{task['id']}/"
    changed = api.patch(one, {"owner": None}, headers={"If-Match": '"v1"'})
    assert (changed.json()["owner"], changed["ETag"]) == (None, '"v2"')
    stale = api.patch(one, {"owner": "ida"}, headers={"If-Match": '"v1"'})
    assert (stale.status_code, stale["ETag"], stale.json()["state"]) == (412, '"v2"', "open")
    assert api.post(f"{one}done/").json()["finished_by"] == "ida"
    again = api.post(f"{one}done/")
    assert (again.status_code, again.json()["code"], again.json()["state"]) == (409, "task_state", "done")
    assert api.post(f"{one}reopen/").json()["state"] == "open"
    assert api.post(f"{one}drop/", {"reason": "not needed"}).json()["state"] == "dropped"
    listed = api.get(f"{at}/tasks/?state=dropped").json()["results"]
    assert [row["id"] for row in listed] == [task["id"]]
    assert api.get(f"{at}/tasks/?state=open").json()["results"] == []
    assert api.get(one)["ETag"] == '"v5"'


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": 5},
        {"title": "a\u202eb"},
        {"owner": "nobody"},
        {"due_at": "soon"},
        {"state": "done"},
    ],
)
def test_a_wrong_task_names_its_field(api: APIClient, at: str, wrong: dict[str, Any]) -> None:
    answer = api.post(f"{at}/tasks/", {"title": "Look", **wrong})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}" for name in wrong]
    assert not Task.objects.exists()


def test_a_task_sent_twice_with_a_key_is_one(api: APIClient, at: str) -> None:
    first, second = (
        api.post(f"{at}/tasks/", {"title": "Look"}, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert Task.objects.count() == 1


def test_tasks_cost_the_same_however_many_there_are(
    api: APIClient, at: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        api.post(f"{at}/tasks/", {"title": f"Look {number}", "owner": "ida"})
        api.post(f"{at}/evidence/", {"file": SimpleUploadedFile("a.txt", b"%d" % number)}, format="multipart")
    for kind in ("tasks", "evidence"):
        with django_assert_max_num_queries(5):
            assert len(api.get(f"{at}/{kind}/").json()["results"]) == 20


# --- evidence -------------------------------------------------------------------------------------


def attach(
    client: APIClient, at: str, name: str, content: bytes, declared: str = "image/png", **more: Any
) -> Any:
    file = SimpleUploadedFile(name, content, content_type=declared)
    headers = more.pop("headers", {})
    return client.post(f"{at}/evidence/", {"file": file, **more}, format="multipart", headers=headers)


def test_evidence_has_its_shape_and_its_bytes_come_back(api: APIClient, at: str) -> None:
    made = attach(api, at, "screen.png", png(), description="The error page")
    assert made.status_code == 201
    row = made.json()
    digest = hashlib.sha256(png()).hexdigest()
    assert {name: row[name] for name in ("name", "description", "kind", "content_type", "size", "sha256", "attached_by", "withdrawn_at")} == {
        "name": "screen.png", "description": "The error page", "kind": "image", "content_type": "image/png",
        "size": len(png()), "sha256": digest, "attached_by": "ida", "withdrawn_at": None,
    }  # fmt: skip
    assert row["url"] == f"{settings.PUBLIC_URL}{at}/evidence/{row['id']}/content/"
    one = f"{at}/evidence/{row['id']}/"
    assert api.get(one).json() == row
    for accept in ("*/*", "image/png", "application/json"):
        given = api.get(f"{one}content/", headers={"Accept": accept})
        assert (given.status_code, given.content, given["Content-Type"]) == (200, png(), "image/png")
    withdrawn = api.post(f"{one}withdraw/", {"reason": "a password"}).json()
    assert (withdrawn["url"], withdrawn["withdrawn_reason"], withdrawn["sha256"]) == (
        None,
        "a password",
        digest,
    )
    assert api.get(f"{one}content/").status_code == 404
    assert api.get(f"{at}/evidence/?withdrawn=false").json()["results"] == []
    assert len(api.get(f"{at}/evidence/?withdrawn=true&kind=image").json()["results"]) == 1


@pytest.mark.parametrize("door", ["api", "page"])
@pytest.mark.parametrize(
    ("name", "content", "content_type", "shown"),
    [
        ("page.png", HTML, "text/plain; charset=utf-8", "attachment"),
        ("drawing.svg", SVG, "text/plain; charset=utf-8", "attachment"),
        ("app.log", LOG, "text/plain; charset=utf-8", "attachment"),
        ("report.html", b"%PDF-1.7\n%\xff" + HTML, "application/pdf", "attachment"),
        ("picture.html", png(), "image/png", "inline"),
        ("both.js", GIF[:-1] + HTML, "image/gif", "inline"),
    ],
)
def test_a_strangers_file_is_nothing_but_a_file(
    api: APIClient, at: str, door: str, name: str, content: bytes, content_type: str, shown: str
) -> None:
    pk = attach(api, at, name, content, declared="text/html").json()["id"]
    path = f"{at}/evidence/{pk}/content/" if door == "api" else f"{at.removeprefix('/api/v1')}/evidence/{pk}/"
    given = api.get(path)
    assert (given.content, given["Content-Type"]) == (content, content_type)
    disposition = given["Content-Disposition"]
    assert disposition.startswith(f"{shown}; filename=")
    assert not disposition.rstrip('"').endswith((".html", ".svg", ".js"))
    assert given["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert given["X-Content-Type-Options"] == "nosniff"
    assert given["Cross-Origin-Resource-Policy"] == "same-origin"
    assert given["Cache-Control"] == "private, no-store"
    assert given["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "name", ["a\r\nSet-Cookie: x=1.txt", 'a"; filename="b.html', "\u202egnp.txt", "../../a.txt", "größe.txt"]
)
def test_no_name_leaves_its_header(api: APIClient, at: str, name: str) -> None:
    made = attach(api, at, name, LOG)
    assert made.status_code == 201, made.content
    given = api.get(f"{at}/evidence/{made.json()['id']}/content/")
    assert "Set-Cookie" not in given
    assert "\n" not in given["Content-Disposition"] and "/" not in given["Content-Disposition"].replace(
        "''", ""
    )
    assert given["Content-Disposition"].startswith("attachment; filename")


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ([], 400, "invalid"),
        ([("file", "a.txt", b"")], 400, "invalid"),
        ([("file", "a.exe", b"MZ\x90\0\xff")], 400, "unknown_content"),
        ([("file", "a.txt", b"x"), ("file", "b.txt", b"y")], 400, "invalid"),
        ([("file", "a.txt", b"x"), ("other", "b.txt", b"y")], 400, "invalid"),
        ([("file", "a.txt", b"x" * 2_001)], 413, "too_large"),
    ],
)
def test_what_cannot_be_evidence_is_refused_and_leaves_nothing(
    api: APIClient, at: str, files: list[tuple[str, str, bytes]], status: int, code: str
) -> None:
    data: dict[str, Any] = {"description": "x"}
    for field, name, content in files:
        data.setdefault(field, []).append(SimpleUploadedFile(name, content))
    with override_settings(EVIDENCE_MAX_BYTES=2_000):
        answer = api.post(f"{at}/evidence/", data, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Evidence.objects.exists()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"file": "a"}', "application/json", 415),
        (b"file=a", "application/x-www-form-urlencoded", 415),
        (b"--b\r\nhalf", "multipart/form-data; boundary=b", 400),
        (b"anything", "multipart/form-data", 400),
        (b"--b\r\n" + b"x" * 1_100_000, "application/json", 413),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(
    api: APIClient, at: str, body: bytes, content_type: str, status: int
) -> None:
    answer = api.post(f"{at}/evidence/", body, content_type=content_type)
    assert answer.status_code == status
    assert not Evidence.objects.exists()


def test_more_than_the_ordinary_limit_is_taken_at_this_address_alone(api: APIClient, at: str) -> None:
    large = b"line\n" * 300_000
    assert attach(api, at, "large.log", large).status_code == 201
    file = SimpleUploadedFile("large.log", large)
    assert api.post(f"{at}/timeline/", {"file": file}, format="multipart").status_code == 413
    assert attach(api, at, "larger.log", b"x" * (settings.EVIDENCE_MAX_BYTES + 70_000)).status_code == 413


def test_a_repeat_with_a_key_attaches_once_and_another_file_is_refused(api: APIClient, at: str) -> None:
    key: Any = {"headers": {"Idempotency-Key": "k"}}
    first = attach(api, at, "a.txt", b"one", **key)
    again = attach(api, at, "a.txt", b"one", **key)
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    other = attach(api, at, "a.txt", b"two", **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    same = attach(api, at, "b.txt", b"one")
    assert (same.status_code, same.json()["code"]) == (409, "already_attached")
    assert Evidence.objects.count() == 1


def test_nobody_learns_of_evidence_of_a_restricted_incident(
    api: APIClient,
    commander: Any,
    make_user: Callable[..., User],
    person: Any,
    incident: Incident,
    now: dt.datetime,
) -> None:
    secret = declare_incident(actor=commander, now=now, title="Leak", severity="P1", restricted=True)
    pk = attach(api, f"/api/v1/incidents/{secret.ref}", "a.txt", b"x").json()["id"]
    rosa = person(make_user("rosa"))
    for ref in (secret.ref, incident.ref):  # nor through an incident that she may see
        for path in (f"/api/v1/incidents/{ref}/evidence/{pk}/", f"/api/v1/incidents/{ref}/evidence/{pk}/content/", f"/incidents/{ref}/evidence/{pk}/"):  # fmt: skip
            assert rosa.get(path).status_code == 404, path
    assert rosa.get(f"/api/v1/incidents/{secret.ref}/tasks/").status_code == 404
    assert attach(rosa, f"/api/v1/incidents/{secret.ref}", "b.txt", b"y").status_code == 404
