"""Second factors through the pages: set up, asked for, used once, and required where the setting says so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core import checks
from django.test import Client

from core.actors import COMMAND_LINE, SYSTEM, Actor, ActorKind, Level, actor_for_user
from core.assurance import ReauthenticationRequired
from core.clock import utcnow
from core.errors import NotAllowed
from core.models import ApiToken, Event, User
from core.selectors.changes import list_changes
from core.services.second_factors import remove_second_factors
from tests.core.accounts.conftest import code_of, confirm, enrol, enter
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]


@pytest.fixture
def secret(make_user: MakeUser, client: Client) -> str:
    """Ida has an authenticator app, set up in `client`, which is signed in."""
    make_user("ida", "commander")
    enter(client)
    confirm(client)
    return enrol(client)


def test_the_code_is_asked_after_the_password(secret: str) -> None:
    browser = Client()
    assert enter(browser)["Location"] == "/accounts/2fa/authenticate/"
    assert browser.get("/").status_code == 302  # not in yet
    assert browser.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert browser.get("/").status_code == 302
    assert browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret)}).status_code == 302
    assert browser.get("/").status_code == 200


def test_a_code_works_once_also_in_the_next_period(secret: str) -> None:
    code = code_of(secret)
    first, second = Client(), Client()
    enter(first)
    assert first.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302
    enter(second)
    for replayed in (code, f"{code[:3]} {code[3:]}"):
        assert second.post("/accounts/2fa/authenticate/", {"code": replayed}).status_code == 200
    assert second.get("/").status_code == 302
    # The one that set the app up is used too.
    assert (
        second.post("/accounts/2fa/authenticate/", {"code": code_of(secret, periods_from_now=-1)}).status_code
        == 200
    )
    assert (
        second.post("/accounts/2fa/authenticate/", {"code": code_of(secret, periods_from_now=1)}).status_code
        == 302
    )


def test_a_recovery_code_works_once(secret: str, client: Client) -> None:
    codes = client.get("/accounts/2fa/recovery-codes/").context["unused_codes"]
    assert len(codes) == 10
    for expected in (302, 200):
        browser = Client()
        enter(browser)
        assert browser.post("/accounts/2fa/authenticate/", {"code": codes[0]}).status_code == expected


def test_the_session_knows_its_second_factor(secret: str, client: Client) -> None:
    def proven(browser: Client) -> bool:
        return bool(browser.get("/").context["actor"].second_factor)

    assert proven(client)  # the first code was shown in it
    browser = Client()
    enter(browser)
    browser.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert proven(browser)


def test_an_administrator_without_one_reaches_nothing_but_its_set_up(
    make_user: MakeUser, both_asked: None, client: Client
) -> None:
    user = make_user("ada", "administrator")
    user.is_staff = True
    user.save()
    enter(client, "ada")
    for address in (
        "/",
        "/incidents/",
        "/admin/",
        "/accounts/sessions/",
        "/accounts/password/change/",
        "/automation/",
    ):
        answer = client.get(address)
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/?required"), address
    assert client.post("/incidents/declare/", {}).status_code == 302
    assert client.get("/", headers={"HX-Request": "true"})["HX-Redirect"] == "/accounts/2fa/?required"
    for address in ("incidents/", "services/", "rollbacks/"):
        refused = client.get(f"/api/v1/{address}")
        assert refused.status_code == 403, address
        assert refused.json()["code"] == "mfa_required"
    # Another scheme in the header opens nothing.
    assert client.get("/api/v1/incidents/", headers={"Authorization": "Basic eDp5"}).status_code == 403
    assert client.get("/accounts/2fa/?required").status_code == 200
    confirm(client)
    enrol(client)
    for address in ("/", "/admin/", "/api/v1/incidents/"):
        assert client.get(address).status_code == 200, address


def test_others_and_tokens_are_not_asked(make_user: MakeUser, both_asked: None, client: Client) -> None:
    enter_as = make_user("rob", "responder")
    enter(client, "rob")
    assert client.get("/").status_code == 200
    owner = make_user("ada", "administrator")
    expires = utcnow() + dt.timedelta(days=1)
    _token, text = ApiToken.issue(user=owner, name="ci", scopes=["read"], expires_at=expires)
    assert Client().get("/api/v1/incidents/", headers={"Authorization": f"Bearer {text}"}).status_code == 200
    assert enter_as.level.label == "responder"


def test_who_removes_the_last_factor_signs_in_again(secret: str, client: Client) -> None:
    other = Client()
    enter(other)
    other.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert other.get("/").status_code == 200
    assert client.post("/accounts/2fa/totp/deactivate/", {}).status_code == 302
    assert not Authenticator.objects.exists()
    assert [browser.get("/").status_code for browser in (client, other)] == [302, 302]


def test_another_administrator_removes_them_once_it_is_sure_who_it_is(
    secret: str, client: Client, make_user: MakeUser
) -> None:
    ada = make_user("ada", "administrator")
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    ida = User.objects.get(username="ida")
    chosen = {"action": "remove_second_factors", "_selected_action": [ida.pk]}
    admin = Client()
    sign_in(admin, ada, seconds_ago=86_400)
    answer = admin.post("/admin/core/user/", chosen)
    assert answer["Location"] == "/accounts/reauthenticate/?next=%2Fadmin%2Fcore%2Fuser%2F"
    assert Authenticator.objects.filter(user=ida).count() == 2
    assert "Nothing was removed yet" in admin.get("/admin/core/user/").content.decode()
    sign_in(admin, ada)
    assert (
        "2 second factor(s) removed" in admin.post("/admin/core/user/", chosen, follow=True).content.decode()
    )
    assert not Authenticator.objects.exists()
    assert client.get("/").status_code == 302  # Ida's sessions ended
    event = Event.objects.get(kind="account.second_factors_removed")
    assert (event.actor, event.data) == ("ada", {"account": "ida", "types": ["recovery_codes", "totp"]})


def test_nobody_else_removes_them(secret: str, make_user: MakeUser) -> None:
    now = utcnow()
    ada = actor_for_user(make_user("ada", "administrator"))
    rosa = replace(actor_for_user(make_user("rosa", "commander")), authenticated_at=now)
    token = Actor(ActorKind.TOKEN, "ada (token ci)", Level.ADMINISTRATOR, user_id=ada.user_id, token_id="x")
    long_ago = replace(ada, authenticated_at=now - dt.timedelta(days=1))
    for actor, error in ((rosa, NotAllowed), (token, NotAllowed), (long_ago, ReauthenticationRequired)):
        with pytest.raises(error):
            remove_second_factors(username="ida", actor=actor, now=now)
    assert Authenticator.objects.count() == 2
    assert remove_second_factors(username="ida", actor=COMMAND_LINE, now=now) == 2
    assert remove_second_factors(username="ida", actor=COMMAND_LINE, now=now) == 0


def test_the_history_says_who_set_one_up_and_who_removed_it(secret: str, client: Client) -> None:
    client.post("/accounts/2fa/totp/deactivate/", {})
    lines = list_changes(SYSTEM, thing="Second factor").lines
    assert {(line.label, line.who) for line in lines} == {("created", "ida"), ("deleted", "ida")}
    assert len(lines) == 4 and secret not in str(lines)


def test_setting_one_up_needs_a_confirmation(make_user: MakeUser, client: Client) -> None:
    sign_in(client, make_user("ida"))
    assert client.get("/accounts/2fa/totp/activate/")["Location"].startswith("/accounts/reauthenticate/")
    assert client.get("/accounts/2fa/webauthn/add/")["Location"].startswith("/accounts/reauthenticate/")


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '"x"', '{"id": 1}', "\x00", '{"response": {"userHandle": "!"}}', "9" * 5000]
)
def test_no_answer_of_a_passkey_is_a_server_error(client: Client, make_user: MakeUser, body: str) -> None:
    assert client.post("/accounts/2fa/webauthn/login/", {"credential": body}).status_code in (200, 302)
    sign_in(client, make_user("ida"))
    answer = client.post("/accounts/2fa/webauthn/reauthenticate/", {"credential": body})
    assert answer.status_code in (200, 302)


@pytest.mark.parametrize(
    ("asked", "expected"), [([], True), (["approving"], True), (["administrators", "approving"], False)]
)
def test_production_is_warned_when_it_asks_for_none(settings: Any, asked: list[str], expected: bool) -> None:
    settings.MFA_REQUIRED_FOR = asked
    found = {found.id for found in checks.run_checks(include_deployment_checks=True, tags=["security"])}
    assert ("firebreak.W002" in found) == expected


def test_a_misspelt_setting_stops_the_start(settings: Any) -> None:
    settings.MFA_REQUIRED_FOR = ["administrator"]
    settings.OIDC_LEVELS = {"sre": "responer"}
    settings.OIDC_ISSUER = "https://id.example.test"
    settings.REAUTHENTICATE_AFTER_SECONDS = 0
    found = {found.id for found in checks.run_checks(tags=["security"])}
    assert {"firebreak.E003", "firebreak.E004", "firebreak.E005", "firebreak.E007"} <= found
