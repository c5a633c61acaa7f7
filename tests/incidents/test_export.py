"""The export of an incident: everything about it, and proof by a script that knows nothing of Firebreak."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from core.actors import Actor
from core.errors import NotFound
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.selectors.export import as_bytes, export_incident
from incidents.selectors.incident_page import get_incident
from incidents.services.checklists import tick_item
from incidents.services.evidence import attach_evidence, withdraw_evidence
from incidents.services.incidents import post_update, resolve_incident
from incidents.services.notes import add_note
from incidents.services.tasks import create_task
from rollbacks.services.endings import end_rollback
from rollbacks.services.requests import request_rollback
from rollbacks.states import RollbackState
from tests.reporting import publish_report_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
SCRIPT = Path(settings.BASE_DIR) / "docs" / "verify_export.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_export", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verify: Callable[..., list[str]] = script().verify


@pytest.fixture
def lived(incident: Incident, commander: Actor, now: dt.datetime) -> Incident:
    """An incident with something of everything that an export holds."""
    by: dict[str, Any] = {"actor": commander, "now": now}
    deliver_pending(now=now)
    tick_item(incident_id=incident.pk, checklist="emergency", item="assess_severity", **by)
    add_note(incident_id=incident.pk, summary="Größer als 5 €, \u202eevil <b>", kind="action", **by)
    create_task(incident_id=incident.pk, title="Ask the provider", owner="ida", **by)
    attach_evidence(incident_id=incident.pk, name="log.txt", content=b"10:15 ERROR\n", **by)
    gone = attach_evidence(incident_id=incident.pk, name="other.txt", content=b"a password\n", **by)
    withdraw_evidence(incident_id=incident.pk, evidence_id=gone.pk, reason="a password", **by)
    rollback = request_rollback(incident_id=incident.pk, service="shop", reason="It is the release", **by)
    end_rollback(rollback, RollbackState.CANCELLED, "not needed", actor=commander, now=now)
    post_update(incident_id=incident.pk, message="It is over", **by)
    resolve_incident(incident_id=incident.pk, resolution="Provider switched", **by)
    deliver_pending(now=now)
    publish_report_of(incident, now=now)
    incident.refresh_from_db()
    return incident


def exported(incident: Incident, actor: Actor, now: dt.datetime) -> bytes:
    return export_incident(actor, incident, now=now).read()


def test_it_holds_everything_and_verifies(lived: Incident, commander: Actor, now: dt.datetime) -> None:
    content = exported(lived, commander, now)
    assert verify(content) == []
    found = json.loads(content)
    assert found["incident"]["ref"] == lived.ref
    assert found["incident"]["services"] == ["shop"]
    assert [e["seq"] for e in found["timeline"]["events"]] == list(
        range(1, Event.objects.filter(stream=lived.stream).count() + 1)
    )
    assert [r["role"] for r in found["responders"] if r["account"] == "ida"] == ["incident_commander"]
    assert [t["title"] for t in found["tasks"]] == ["Ask the provider"]
    assert [i["key"] for i in found["checklists"] if i["ticked_by"] == "ida"] == ["assess_severity"]
    log, gone = found["evidence"]
    assert log["sha256"] == hashlib.sha256(b"10:15 ERROR\n").hexdigest()
    assert gone["withdrawn_why"] == "a password"
    [rollback] = found["rollbacks"]
    assert rollback["state"] == "cancelled"
    assert len(rollback["steps"]) > 3
    assert {m["template"] for m in found["messages"]} >= {"incident_alert", "incident_resolved"}
    assert "recipient" not in content.decode()
    assert verify(content, found["timeline"]["head_hash"]) == []
    assert verify(content, "0" * 64) == ["the timeline does not end in the hash that you know"]


def test_one_byte_changed_fails(lived: Incident, commander: Actor, now: dt.datetime) -> None:
    """Whatever the byte, wherever: in the timeline, beside it, between the two, in the digest itself."""
    content = exported(lived, commander, now)

    @hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, len(content) - 1), st.integers(1, 255))
    @example(0, 1)
    @example(len(content) - 1, 42)
    @example(len(content) - 5, 1)
    def changed(position: int, difference: int) -> None:
        other = bytearray(content)
        other[position] ^= difference
        assert verify(bytes(other)) != []

    changed()


def resealed(found: dict[str, Any]) -> bytes:
    """As somebody would write it who knows the format: the digest is that of what they made of it."""
    found.pop("digest")
    digest = hashlib.sha256(as_bytes(found)).hexdigest()
    return as_bytes({**found, "digest": digest}) + b"\n"


def republished(found: dict[str, Any], markdown: str) -> None:
    """Another report, with the digest that belongs to it."""
    said = {"markdown": markdown, "sha256": hashlib.sha256(markdown.encode()).hexdigest()}
    found["report"]["published"][0].update(said)


@pytest.mark.parametrize(
    ("forge", "seen"),
    [
        (lambda f: f["timeline"]["events"].pop(2), "stands where event 3 belongs"),
        (lambda f: f["timeline"]["events"].pop(), "does not end where its head says"),
        (lambda f: f["timeline"]["events"].insert(1, f["timeline"]["events"].pop(3)), "stands where"),
        (lambda f: f["timeline"]["events"][1].update(summary="Nothing"), "summary is not what its hash vouches for"),
        (lambda f: f["timeline"]["events"][1].update(canonical="{}"), "its hash is not that of its bytes"),
        (lambda f: f["evidence"][0].update(sha256="0" * 64), "no event vouches for this SHA-256"),
        (lambda f: f["evidence"].pop(), "is vouched for and is not listed"),
        (lambda f: f["report"]["published"][0].update(markdown="# Nothing happened\n"), "its SHA-256 is not that of its Markdown"),
        (lambda f: republished(f, "# Nothing happened\n"), "revision 1 of the report: no event vouches for this SHA-256"),
        (lambda f: f["report"]["published"].pop(), "revision 1 of the report is vouched for and is not listed"),
        (lambda f: f.update(report=None), "revision 1 of the report is vouched for and is not listed"),
        (lambda f: f["incident"].update(ref="INC-2000-01-01-0001"), "of another incident"),
        (lambda f: f.pop("evidence"), "cannot be read"),
    ],
)  # fmt: skip
def test_a_clever_forger_is_seen(
    lived: Incident, commander: Actor, now: dt.datetime, forge: Callable[[Any], Any], seen: str
) -> None:
    found = json.loads(exported(lived, commander, now))
    forge(found)
    assert any(seen in line for line in verify(resealed(found)))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"format":1}', b"[" * 100_000])
def test_nonsense_is_no_export(content: bytes) -> None:
    assert verify(content) != []


def test_the_script_runs_without_firebreak(
    lived: Incident, commander: Actor, now: dt.datetime, tmp_path: Path
) -> None:
    file = tmp_path / "export.json"
    file.write_bytes(exported(lived, commander, now))
    run = [sys.executable, "-I", "-S", str(SCRIPT), str(file)]
    good = subprocess.run(run, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert f"{lived.ref}: " in good.stdout
    file.write_bytes(file.read_bytes().replace(b"Provider switched", b"Provider SWITCHED"))
    bad = subprocess.run(run, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "not what its hash" in bad.stdout or "not that of its bytes" in bad.stdout


def test_its_cost_does_not_grow(
    lived: Incident, commander: Actor, now: dt.datetime, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        add_note(incident_id=lived.pk, summary=f"Note {number}", actor=commander, now=now)
    with django_assert_num_queries(17):
        exported(lived, commander, now)


def test_page_and_api_give_the_same_download(
    lived: Incident, commander: Actor, client: Client, now: dt.datetime
) -> None:
    sign_in(client, User.objects.get(username="ida"))
    for path in (f"/incidents/{lived.ref}/export.json", f"/api/v1/incidents/{lived.ref}/export.json"):
        answer = client.get(path, HTTP_ACCEPT="text/html")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        assert answer["Content-Disposition"] == f'attachment; filename="{lived.ref}.json"'
        assert "no-store" in answer["Cache-Control"]
        assert verify(b"".join(answer)) == []


def test_a_restricted_incident_is_exported_to_nobody_who_may_not_see_it(
    lived: Incident, make_actor: Callable[..., Actor]
) -> None:
    Incident.objects.filter(pk=lived.pk).update(restricted=True)
    with pytest.raises(NotFound):
        get_incident(make_actor("eve", "commander"), lived.ref)
