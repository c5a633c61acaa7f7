"""The page of API tokens: everybody's own, the secret once, and an event for each."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from core.actors import COMMAND_LINE, actor_for_token, actor_for_user
from core.clock import utcnow
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import ApiToken, Event, User
from core.services.tokens import TooManyTokens, issue_token, revoke_token
from tests.pages.conftest import HOSTILE, SignIn

PAGE = "/account/tokens/"
FORM = {"name": "Deploy seven", "scopes": ["read", "write"], "days": "30"}


def shown(answer: object) -> str:
    found = re.search(r"fb_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", answer.content.decode())  # type: ignore[attr-defined]
    assert found, "the page shows the token"
    return found[0]


def asks(text: str) -> int:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client.get("/api/v1/incidents/").status_code


def test_a_token_is_made_shown_once_used_and_revoked(sign_in: SignIn) -> None:
    vera = sign_in("vera", "viewer")
    answer = vera.post(PAGE, FORM)
    text = shown(answer)
    assert (answer.status_code, answer["Cache-Control"].count("no-store")) == (200, 1)
    assert f"Bearer {text}" in answer.content.decode()  # the example of curl
    token = ApiToken.objects.get()
    assert (token.user.username, token.scopes) == ("vera", ["read", "write"])
    assert abs(token.expires_at - utcnow() - dt.timedelta(days=30)) < dt.timedelta(minutes=1)
    assert asks(text) == 200
    panel = vera.get(f"{PAGE}?panel=list").content.decode()
    assert "Deploy seven" in panel and "<html" not in panel
    page = vera.get(PAGE).content.decode()
    assert text not in page and token.digest not in page and "Deploy seven" in page
    assert "cannot be undone" in vera.get(f"{PAGE}{token.pk}/revoke/").content.decode()
    assert asks(text) == 200  # asking is not doing
    assert vera.post(f"{PAGE}{token.pk}/revoke/").status_code == 302
    assert asks(text) == 401
    assert vera.post(f"{PAGE}{token.pk}/revoke/").status_code == 409
    kinds = list(Event.objects.filter(kind__startswith="token.").order_by("seq").values_list("kind", "actor"))
    assert kinds == [("token.issued", "vera"), ("token.revoked", "vera")]
    for event in Event.objects.filter(kind__startswith="token."):
        assert text.split("_", 2)[2] not in str(event.data) + event.summary + bytes(event.canonical).decode()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"days": "0"}, "days"),
        ({"days": "366"}, "days"),
        ({"days": "9" * 40}, "days"),
        ({"days": "x"}, "days"),
    ],
)
def test_bad_input_comes_back_with_its_field_and_makes_nothing(
    sign_in: SignIn, change: dict[str, object], field: str
) -> None:
    answer = sign_in("vera", "viewer").post(PAGE, FORM | change)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not ApiToken.objects.exists()


def test_a_form_sent_twice_makes_one_token(sign_in: SignIn) -> None:
    vera = sign_in("vera", "viewer")
    assert vera.post(PAGE, FORM).status_code == 200
    assert vera.post(PAGE, FORM).status_code == 422
    assert ApiToken.objects.count() == 1


def test_another_persons_token_is_not_there(sign_in: SignIn) -> None:
    sign_in("vera", "viewer").post(PAGE, FORM)
    token = ApiToken.objects.get()
    mallory = sign_in("mallory", "commander")
    assert "Deploy seven" not in mallory.get(PAGE).content.decode()
    for verb in (mallory.get, mallory.post):
        assert verb(f"{PAGE}{token.pk}/revoke/").status_code == 404
    assert ApiToken.objects.get().revoked_at is None
    assert Client().get(PAGE).status_code == Client().post(PAGE, FORM).status_code == 302


def test_an_account_without_a_level_makes_none(sign_in: SignIn) -> None:
    nobody = sign_in("nobody", "")
    assert "could do nothing" in nobody.get(PAGE).content.decode()
    assert nobody.post(PAGE, FORM).status_code == 422
    assert not ApiToken.objects.exists()


def test_their_number_is_bounded(sign_in: SignIn, settings: object, now: dt.datetime) -> None:
    settings.TOKENS_PER_ACCOUNT = 2  # type: ignore[attr-defined]
    vera = sign_in("vera", "viewer")
    for name in ("one", "two"):
        vera.post(PAGE, FORM | {"name": name})
    assert vera.post(PAGE, FORM | {"name": "three"}).status_code == 422
    assert ApiToken.objects.count() == 2
    actor = actor_for_user(User.objects.get(username="vera"))
    with pytest.raises(TooManyTokens):
        issue_token(username="vera", name="three", scopes=["read"], days=1, actor=actor, now=now)
    ApiToken.objects.filter(name="one").update(expires_at=now)
    assert vera.post(PAGE, FORM | {"name": "three"}).status_code == 200


def test_it_warns_before_a_token_expires(sign_in: SignIn, now: dt.datetime) -> None:
    vera = sign_in("vera", "viewer")
    vera.post(PAGE, FORM)
    assert not vera.get(PAGE).context["soon"]
    ApiToken.objects.update(expires_at=now + dt.timedelta(days=3))
    page = vera.get(PAGE)
    assert [line.name for line in page.context["soon"]] == ["Deploy seven"]
    assert "change the program before then" in page.content.decode()


def test_hostile_names_are_text(sign_in: SignIn) -> None:
    vera = sign_in("vera", "viewer")
    assert "<img src=x" not in vera.post(PAGE, FORM | {"name": HOSTILE}).content.decode()
    assert "<img src=x" not in vera.get(PAGE).content.decode()


def test_the_page_costs_the_same_with_many_tokens(
    sign_in: SignIn, django_assert_max_num_queries: Callable[..., object], now: dt.datetime
) -> None:
    vera = sign_in("vera", "viewer")
    user = User.objects.get(username="vera")
    for number in range(30):
        ApiToken.issue(user=user, name=str(number), scopes=["read"], expires_at=now + dt.timedelta(days=99))
    with django_assert_max_num_queries(7):  # type: ignore[attr-defined]
        assert len(vera.get(PAGE).context["tokens"]) == 30


def test_a_token_and_another_person_make_none(make_user: Callable[..., User], now: dt.datetime) -> None:
    ida, ada = make_user("ida", "commander"), make_user("ada", "administrator")
    token, _text = issue_token(
        username="ida", name="ci", scopes=["write"], days=1, actor=COMMAND_LINE, now=now
    )
    for actor in (actor_for_token(token), actor_for_user(ada)):
        with pytest.raises(NotAllowed):
            issue_token(username="ida", name="x", scopes=["read"], days=1, actor=actor, now=now)
    with pytest.raises(NotFound):
        revoke_token(token_id=token.pk, actor=actor_for_token(token), now=now)
    with pytest.raises(Invalid):
        issue_token(username="ida", name="x", scopes=[], days=1, actor=COMMAND_LINE, now=now)
    revoke_token(token_id=token.pk, actor=actor_for_user(ada), now=now)
    with pytest.raises(Conflict):
        revoke_token(token_id=token.pk, actor=actor_for_user(ida), now=now)


def test_the_command_line(make_user: Callable[..., User], capsys: pytest.CaptureFixture[str]) -> None:
    make_user("ida", "commander")
    call_command("token", "create", "--user", "ida", "--name", "ci", "--scope", "read", "--days", "2")
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    text = out.strip()
    assert asks(text) == 200
    call_command("token", "list", "--user", "ida")
    listed = capsys.readouterr().out
    assert "usable" in listed and text.split("_", 2)[2] not in listed
    call_command("token", "revoke", text)  # as it was found in a log
    assert asks(text) == 401
    for words in (
        ("create", "--user", "nobody", "--name", "ci", "--scope", "read"),
        ("create", "--user", "ida", "--name", "ci", "--scope", "read", "--days", "366"),
        ("revoke", "000000000000"),
        ("revoke", text.split("_")[1]),
    ):
        with pytest.raises(CommandError):
            call_command("token", *words)
