"""Sign-in through an identity provider: a real small one, and what happens when its answer is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import settings as django_settings
from django.test import Client
from pytest_httpserver import HTTPServer

from core.actors import SYSTEM
from core.models import User
from core.selectors.changes import list_changes
from tests.core.accounts.conftest import confirm, enter
from tests.core.accounts.provider import CLIENT_ID, CLIENT_SECRET, Provider

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/oidc/sso/login/"


@pytest.fixture
def provider(httpserver: HTTPServer, settings: Any) -> Provider:
    """Configured as the environment would, with levels by the claim `groups`."""
    found = Provider(httpserver)
    settings.OIDC_ISSUER, settings.OIDC_NAME = found.issuer, "Acme"
    settings.OIDC_LEVEL_CLAIM = "groups"
    settings.OIDC_LEVELS = {"sre": "responder", "leads": "commander"}
    providers = deepcopy(django_settings.SOCIALACCOUNT_PROVIDERS)
    providers["openid_connect"]["APPS"] = [
        {
            "provider_id": "sso", "name": "Acme", "client_id": CLIENT_ID, "secret": CLIENT_SECRET,
            "settings": {"server_url": found.issuer},
        }
    ]  # fmt: skip
    settings.SOCIALACCOUNT_PROVIDERS = providers
    found.claims["groups"] = ["everyone", "sre"]
    return found


def _through(browser: Client, provider: Provider, query: str = "") -> Any:
    """The whole way: the button, the provider, and back."""
    asked = browser.post(f"{LOGIN}{query}")
    assert asked.status_code == 302, asked.content
    return browser.get(provider.authorize(asked["Location"]))


def _is_in(browser: Client) -> bool:
    return browser.get("/").status_code == 200


def test_the_button_is_there_only_when_it_is_configured(
    client: Client, provider: Provider, settings: Any
) -> None:
    assert "Sign in with Acme" in client.get("/accounts/login/").content.decode()
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = []
    settings.OIDC_ISSUER = ""
    assert "Sign in with Acme" not in client.get("/accounts/login/").content.decode()
    assert client.get(f"{LOGIN}callback/").status_code == 404
    assert client.post(LOGIN).status_code == 404


def test_a_new_person_comes_in_with_the_level_of_the_claim(client: Client, provider: Provider) -> None:
    assert _through(client, provider)["Location"] == "/"
    user = User.objects.get()
    assert (user.username, user.level.label, user.has_usable_password()) == ("ida", "responder", False)
    assert _is_in(client)
    asked = provider.asked
    assert (asked["code_challenge_method"], len(asked["nonce"]), len(asked["state"]) >= 16) == (
        "S256",
        64,
        True,
    )
    assert set(asked["scope"].split()) == {"openid", "profile", "email"}


def test_the_history_names_the_provider(client: Client, provider: Provider) -> None:
    _through(client, provider)
    lines = list_changes(SYSTEM).lines
    assert {(line.thing, line.who) for line in lines} == {
        ("Account", "identity provider"), ("Account level", "identity provider")
    }  # fmt: skip


def test_a_link_alone_signs_nobody_in(client: Client, provider: Provider) -> None:
    assert client.get(LOGIN).status_code == 200  # asks first: no sign-in by somebody else's link
    own = Client()
    back = provider.authorize(own.post(LOGIN)["Location"])
    assert "did not work" in client.get(back).content.decode()  # a state of another browser
    assert not _is_in(client)
    assert own.get(back).status_code == 302
    assert "did not work" in Client().get(back).content.decode()
    assert "did not work" in own.get(back).content.decode()  # and once only


WRONG: dict[str, Callable[[Provider], object]] = {
    "nonce": lambda p: p.spoil.update(token={"nonce": "0" * 64}),
    "no nonce": lambda p: p.spoil.update(token={"nonce": None}),
    "audience": lambda p: p.spoil.update(token={"aud": "another client"}),
    "issuer": lambda p: p.spoil.update(token={"iss": "https://evil.example.test"}),
    "issuer of the configuration": lambda p: p.spoil.update(
        issuer_of_configuration="https://evil.example.test"
    ),
    "expired": lambda p: p.spoil.update(token={"exp": int(time.time()) - 120}),
    "from the future": lambda p: p.spoil.update(token={"iat": int(time.time()) + 600}),
    "alg none": lambda p: setattr(p, "algorithm", "none"),
    "another key": lambda p: setattr(p, "signing_key", p.other_key),
    "userinfo of another": lambda p: setattr(p, "userinfo", {"sub": "u-2"}),
    "a symmetric key": lambda p: p.__dict__.update(algorithm="HS256", signing_key=CLIENT_SECRET * 3),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_signs_nobody_in(client: Client, provider: Provider, wrong: str) -> None:
    back = provider.authorize(client.post(LOGIN)["Location"])
    WRONG[wrong](provider)
    answer = client.get(back)
    assert (answer.status_code, "did not work" in answer.content.decode()) == (401, True)
    assert not User.objects.exists()
    assert not _is_in(client)


def test_without_the_verifier_of_this_browser_there_is_no_token(client: Client, provider: Provider) -> None:
    back = provider.authorize(client.post(LOGIN)["Location"])
    provider.asked["code_challenge"] = "of somebody else"
    assert "did not work" in client.get(back).content.decode()
    assert provider.tokens_given == 0


def test_a_provider_that_is_down_is_a_page_not_an_error(
    client: Client, provider: Provider, httpserver: HTTPServer
) -> None:
    back = provider.authorize(client.post(LOGIN)["Location"])
    httpserver.clear()
    httpserver.expect_request("/.well-known/openid-configuration").respond_with_data("<html>", status=503)
    assert "did not work" in client.get(back).content.decode()
    assert "did not work" in client.post(LOGIN).content.decode()


def test_a_taken_username_takes_nothing_over(
    client: Client, provider: Provider, make_user: Callable[..., User]
) -> None:
    local = make_user("Ida", "administrator")
    User.objects.filter(pk=local.pk).update(email="ida@example.test")
    provider.claims |= {"email": "ida@example.test", "email_verified": True}
    assert _through(client, provider).status_code == 302
    came = client.get("/").context["actor"]
    assert came.user_id != local.pk
    assert came.label.startswith("ida-")
    assert not SocialAccount.objects.filter(user=local).exists()
    assert User.objects.exclude(pk=local.pk).get().email == ""


def test_the_person_is_the_sub_whatever_else_changes(client: Client, provider: Provider) -> None:
    _through(client, provider)
    first = User.objects.get()
    provider.claims |= {"preferred_username": "ida.new", "email": "new@example.test"}
    again = Client()
    _through(again, provider)
    assert again.get("/").context["actor"].user_id == first.pk
    assert User.objects.count() == 1


def test_the_level_follows_the_claim_and_its_loss_ends_sessions(client: Client, provider: Provider) -> None:
    _through(client, provider)
    provider.claims["groups"] = ["leads", "sre"]
    raised = Client()
    _through(raised, provider)
    assert raised.get("/").context["actor"].level.label == "commander"
    provider.claims["groups"] = "sre"  # one group as a plain text
    lowered = Client()
    _through(lowered, provider)
    assert lowered.get("/").context["actor"].level.label == "responder"
    assert [_is_in(browser) for browser in (client, raised, lowered)] == [False, False, True]
    provider.claims["groups"] = []
    lost = Client()
    answer = _through(lost, provider)
    assert (answer.status_code, "No access yet" in answer.content.decode()) == (403, True)
    assert [_is_in(browser) for browser in (lowered, lost)] == [False, False]


@pytest.mark.parametrize("groups", [None, [], ["unknown"], {"sre": True}, 7, [["sre"]]])
def test_without_a_mapped_level_there_is_none(client: Client, provider: Provider, groups: Any) -> None:
    provider.claims["groups"] = groups
    answer = _through(client, provider)
    assert answer.status_code == 403
    assert "ask to be put into a group" in answer.content.decode()
    assert not _is_in(client)
    assert not User.objects.get().level


def test_without_a_claim_an_administrator_gives_the_level(
    client: Client, provider: Provider, settings: Any
) -> None:
    settings.OIDC_LEVEL_CLAIM = ""
    assert "Ask an administrator" in _through(client, provider).content.decode()
    User.objects.get().groups.set([_group("viewer")])
    assert _through(client, provider).status_code == 302
    assert client.get("/").context["actor"].level.label == "viewer"


def test_only_a_signed_in_person_links_the_identity_to_an_account(
    client: Client, provider: Provider, make_user: Callable[..., User], settings: Any
) -> None:
    settings.OIDC_LEVEL_CLAIM = ""
    make_user("tom", "commander")
    enter(client, "tom")
    asked = client.post(f"{LOGIN}?process=connect")
    linked = client.get(provider.authorize(asked["Location"]))
    assert linked["Location"].startswith("/accounts/reauthenticate/")  # the password first
    confirm(client)
    assert SocialAccount.objects.get().user.username == "tom"
    elsewhere = Client()
    _through(elsewhere, provider)
    assert elsewhere.get("/").context["actor"].label == "tom"


def test_who_has_no_password_confirms_at_the_provider(client: Client, provider: Provider) -> None:
    _through(client, provider)
    there = client.get("/accounts/reauthenticate/?next=/incidents/")
    assert there["Location"].startswith("/accounts/reauthenticate/sso/?next=")
    page = client.get(there["Location"]).content.decode()
    assert "Confirm with Acme" in page
    assert "next=%2Fincidents%2F" in page
    before = client.get("/").context["actor"].authenticated_at
    answer = _through(client, provider, "?process=login&next=/incidents/&auth_params=prompt%3Dnone")
    assert (provider.asked["prompt"], provider.asked["max_age"]) == ("login", "0")  # ours, not the address's
    assert answer["Location"] == "/incidents/"
    assert client.get("/").context["actor"].authenticated_at > before
    provider.claims["auth_time"] = int(time.time()) - 3600
    assert "did not work" in _through(client, provider, "?next=/incidents/").content.decode()


def test_the_provider_counts_as_second_factor_only_where_that_is_said(
    client: Client, provider: Provider, settings: Any
) -> None:
    _through(client, provider)
    assert not client.get("/").context["actor"].second_factor
    settings.OIDC_SECOND_FACTOR = True
    assert client.get("/").context["actor"].second_factor


def test_a_switched_off_account_stays_out(client: Client, provider: Provider) -> None:
    _through(client, provider)
    User.objects.update(is_active=False)
    back = Client()
    _through(back, provider)
    assert not _is_in(back)


def _group(name: str) -> Any:
    from django.contrib.auth.models import Group

    return Group.objects.get(name=name)
