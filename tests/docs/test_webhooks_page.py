"""docs/webhooks.md: its examples verify a real delivery, and its schedule is that of the code."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from comms.deliveries.webhooks import send_due_webhooks
from comms.rules.webhooks import WAITS
from comms.services.webhooks import create_webhook, send_test
from core.actors import Actor
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "webhooks.md"


def _example(file: str) -> dict[str, Any]:
    (block,) = [block for block in blocks(PAGE) if block.labels.get("file") == file]
    names: dict[str, Any] = {}
    exec(compile(block.text, f"{PAGE}:{file}", "exec"), names)
    return names


@pytest.mark.django_db(transaction=True)
def test_the_examples_verify_a_real_delivery_and_nothing_else(
    make_actor: Callable[..., Actor], httpserver: HTTPServer, settings: Any, now: dt.datetime
) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    httpserver.expect_request("/hook").respond_with_data("")
    boss = make_actor("root", "administrator")
    endpoint, secret = create_webhook(url=httpserver.url_for("/hook"), actor=boss, now=now)
    send_test(webhook_id=endpoint.pk, actor=boss, now=now)
    send_due_webhooks(now=now)
    ((request, _answer),) = httpserver.log
    headers, body = request.headers, request.get_data()
    check = _example("receiver.py")["is_from_firebreak"]
    assert check(secret, headers, body)
    assert not check(secret, headers, body + b" ")
    assert not check("whsec_" + "A" * 32, headers, body)
    old = {name: headers[name] for name in ("webhook-id", "webhook-signature")} | {"webhook-timestamp": "1"}
    assert not check(secret, old, body)
    pytest.importorskip("standardwebhooks")
    lower = {name.lower(): value for name, value in headers.items()}
    assert _example("with_library.py")["read"](secret, lower, body)["type"] == "webhook.test"


def test_the_schedule_on_the_page_is_the_codes() -> None:
    assert "after 5 seconds, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and 24 hours" in PAGE.read_text()
    assert [wait / 3600 for wait in WAITS[3:]] == [2, 5, 10, 14, 20, 24]
    assert WAITS[:3] == (5, 300, 1800)
