"""The outside heartbeat: told while everything works, silent with a reason otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from core.models import Heartbeat
from core.operation import outside
from core.operation.facts import Trouble

pytestmark = pytest.mark.django_db
STUCK = Trouble("process.comms", "critical", "comms has gone silent", "", "", silences=True)
MILD = Trouble("broker", "warning", "The broker is away", "", "")


@pytest.fixture
def troubles(monkeypatch: pytest.MonkeyPatch) -> list[Trouble]:
    found: list[Trouble] = []
    monkeypatch.setattr(outside, "list_troubles", lambda: tuple(found))
    return found


@pytest.fixture
def listener(httpserver: HTTPServer, settings: Any) -> HTTPServer:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.HEARTBEAT_URL = httpserver.url_for("/ping/secret-uuid")
    httpserver.expect_request("/ping/secret-uuid", method="GET").respond_with_data("OK")
    return httpserver


def test_it_is_told_while_nothing_stops_the_work(listener: HTTPServer, troubles: list[Trouble]) -> None:
    troubles.append(MILD)
    assert outside.tell()
    assert len(listener.log) == 1
    assert Heartbeat.objects.get().component == outside.TOLD


def test_it_is_silent_with_a_reason_otherwise(listener: HTTPServer, troubles: list[Trouble]) -> None:
    troubles += [MILD, STUCK]
    assert not outside.tell()
    assert listener.log == []
    assert Heartbeat.objects.get(component=outside.SILENT).note == "comms has gone silent"


def test_an_address_that_does_not_answer_is_a_reason_without_its_secret(
    listener: HTTPServer, troubles: list[Trouble], caplog: pytest.LogCaptureFixture
) -> None:
    listener.clear()
    assert not outside.tell()
    assert Heartbeat.objects.get().note.startswith("HEARTBEAT_URL answers 500")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("core")]
    assert ours
    assert "secret-uuid" not in " ".join(ours)


def test_private_addresses_need_permission(
    listener: HTTPServer, troubles: list[Trouble], settings: Any
) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    assert not outside.tell()
    assert listener.log == []
    assert "Blocked" in Heartbeat.objects.get().note


def test_without_an_address_nothing_is_done(troubles: list[Trouble], settings: Any) -> None:
    settings.HEARTBEAT_URL = ""
    assert not outside.tell()
    assert not Heartbeat.objects.exists()


@pytest.mark.parametrize("url", ["not a url", "http://[", "ftp://example.org/"])
def test_a_wrong_address_is_a_reason(url: str, troubles: list[Trouble], settings: Any) -> None:
    settings.HEARTBEAT_URL = url
    assert not outside.tell()
    assert "HEARTBEAT_URL" in Heartbeat.objects.get().note
