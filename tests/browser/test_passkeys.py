"""Passkeys in a real Chromium with a virtual authenticator, under the real Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import CDPSession, Page
from pytest_django.live_server_helper import LiveServer

from core.models import User
from incidents.models import Incident
from rollbacks.models import Rollback
from tests.browser.chromium import chromium
from tests.core.accounts.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def site(transactional_db: None) -> Iterator[str]:
    """Firebreak's pages at http://localhost, which is a secure context."""
    server = LiveServer("localhost")
    yield server.url
    server.stop()


@pytest.fixture
def page(site: str) -> Iterator[Page]:
    """A phone-sized page with a platform authenticator; ends with no complaint of the browser."""
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 390, "height": 844})
        complaints: list[str] = []
        opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        wide = opened.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    # /live/ is another process's; the test server has none.
    assert [said for said in complaints if "404" not in said] == []


def _authenticator(page: Page) -> tuple[CDPSession, str]:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def _sign_in(page: Page, url: str, there: str) -> None:
    page.goto(f"{url}/accounts/login/")
    page.fill("input[name=login]", "ida")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(f"{url}{there}")


def _forget_who(page: Page) -> None:
    """As after the end of a session; first the page goes, or its next look would be given cookies of its own."""
    page.goto("about:blank")
    page.context.clear_cookies()


def test_a_passkey_from_its_set_up_to_the_approval_of_a_rollback(
    page: Page, site: str, incident: Incident, make_user: Callable[..., User],
    make_actor: Callable[..., Any], now: Any, settings: Any,
) -> None:  # fmt: skip
    from rollbacks.services.requests import request_rollback

    url = site
    assert url.startswith("http://localhost:")
    settings.MFA_REQUIRED_FOR = ["approving"]
    rollback = request_rollback(
        incident_id=incident.pk, service="shop", reason="errors", actor=make_actor("bea"), now=now
    )
    session, key = _authenticator(page)

    # Ida has a password only: approving leads to the set-up of a second factor.
    _sign_in(page, url, "/")
    page.goto(f"{url}/rollbacks/{rollback.ref}/approve/")
    page.wait_for_url("**/accounts/2fa/")
    page.get_by_role("link", name="Add a passkey").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/reauthenticate/**")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/webauthn/add/")
    page.fill("input[name=name]", "Work laptop")
    page.check("input[name=passwordless]")
    page.click("text=Add >> nth=-1")
    page.wait_for_url("**/recovery-codes/")
    assert page.locator(".codes li").count() == 10
    assert len(session.send("WebAuthn.getCredentials", {"authenticatorId": key})["credentials"]) == 1
    assert Authenticator.objects.get(type="webauthn").user.username == "ida"

    # From now on it is asked after the password, and is enough alone.
    _forget_who(page)
    _sign_in(page, url, "/accounts/2fa/authenticate/")
    session.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": True})
    page.click("#passkey-authenticate")
    page.wait_for_url(f"{url}/")
    _forget_who(page)
    page.goto(f"{url}/accounts/login/")
    page.click("#passkey-login")
    page.wait_for_url(f"{url}/")

    # An hour later the approval asks once more, and comes back to finish.
    settings.REAUTHENTICATE_AFTER_SECONDS = 0
    page.goto(f"{url}/rollbacks/{rollback.ref}/approve/")
    page.wait_for_url("**/accounts/reauthenticate/**")
    page.get_by_role("link", name="Use a security key").click()
    page.wait_for_url("**/webauthn/reauthenticate/**")
    settings.REAUTHENTICATE_AFTER_SECONDS = 900
    page.click("#passkey-confirm")
    page.wait_for_url(f"**/rollbacks/{rollback.ref}/approve/")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(f"**/rollbacks/{rollback.ref}/")
    assert Rollback.objects.get().state == "approved"


def test_a_refused_passkey_is_said_in_words(page: Page, site: str, make_user: Callable[..., User]) -> None:
    make_user("ida", "viewer")
    session, key = _authenticator(page)
    session.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": key, "enabled": False})
    page.goto(f"{site}/accounts/login/")
    page.evaluate(
        "() => { navigator.credentials.get = () => Promise.reject(new DOMException('no', 'NotAllowedError')) }"
    )
    page.click("#passkey-login")
    page.get_by_role("alert").get_by_text("was cancelled, or took too long").wait_for()
