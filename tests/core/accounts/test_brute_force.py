"""Guessing is slow for the guesser and for nobody else, with the broker dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.cache import cache
from django.test import Client

from config.celery import app as celery
from core.models import User
from tests.core.accounts.conftest import PASSWORD, code_of, enter
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture(autouse=True)
def dead_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cache.clear()
    monkeypatch.setattr(celery.conf, "broker_url", "redis://127.0.0.1:1/0")
    yield
    cache.clear()


@pytest.fixture
def ida(make_user: Callable[..., User]) -> User:
    return make_user("ida", "commander")


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch, ida: User) -> list[str]:
    """Every argon2 hash that is computed from now on."""
    computed: list[str] = []
    for name in ("encode", "verify"):
        real = getattr(Argon2PasswordHasher, name)

        def counting(self: Any, *values: Any, real: Any = real, name: str = name) -> Any:
            computed.append(name)
            return real(self, *values)

        monkeypatch.setattr(Argon2PasswordHasher, name, counting)
    return computed


@pytest.mark.faults
def test_two_hundred_guesses_cost_ten_hashes(client: Client, hashes: list[str]) -> None:
    answers = [enter(client, "ida", f"guess {number}") for number in range(60)]
    answers += [enter(Client(), "IDA", f"guess {number}") for number in range(60, 200)]
    assert [answer.status_code for answer in answers[:10]] == [200] * 10
    assert {answer.status_code for answer in answers[10:]} == {429}
    assert answers[-1]["Retry-After"] == "300"
    assert "wait 5 minutes" in answers[-1].content.decode()
    assert len(hashes) == 10
    # Not even the right password from there, and nothing is computed for it.
    assert enter(client).status_code == 429
    assert len(hashes) == 10


def test_the_person_elsewhere_still_gets_in(client: Client, ida: User) -> None:
    for number in range(12):
        enter(client, "ida", f"guess {number}", REMOTE_ADDR="198.51.100.7")
    assert enter(client, REMOTE_ADDR="198.51.100.7").status_code == 429
    assert enter(Client(), REMOTE_ADDR="203.0.113.9").status_code == 302


@pytest.mark.faults  # half a minute
def test_spraying_many_accounts_is_stopped_by_address(client: Client, hashes: list[str]) -> None:
    codes = [enter(client, f"user{number}", "Winter2026").status_code for number in range(60)]
    assert codes == [200] * 50 + [429] * 10
    assert len(hashes) == 50
    assert cache.get("nothing") is None  # the cache still answers


def test_later_the_allowance_is_back(client: Client, ida: User) -> None:
    for number in range(11):
        enter(client, "ida", f"guess {number}")
    with time_machine.travel(dt_in(301), tick=True):
        assert enter(client).status_code == 302


def test_signing_in_rightly_costs_nothing(ida: User) -> None:
    assert {enter(Client()).status_code for _ in range(15)} == {302}


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_a_made_up_forwarded_address_evades_nothing(settings: Any, proxies: int, ida: User) -> None:
    settings.NUM_PROXIES = proxies
    codes = []
    for number in range(12):
        hops = [f"10.{number}.1.1", "nonsense", "198.51.100.7", "192.0.2.1"]
        forwarded = ", ".join(hops[:2] + hops[2:][:proxies])  # the proxies append what they saw
        codes.append(enter(Client(), "ida", "wrong", headers={"X-Forwarded-For": forwarded}).status_code)
    assert codes == [200] * 10 + [429] * 2


def test_one_host_has_one_allowance_for_all_its_ipv6_addresses(ida: User) -> None:
    codes = [enter(Client(), "ida", "no", REMOTE_ADDR=f"2001:db8:1:2::{n}").status_code for n in range(12)]
    assert codes == [200] * 10 + [429] * 2
    assert enter(Client(), REMOTE_ADDR="2001:db8:1:3::1").status_code == 302


def test_a_header_with_too_few_hops_is_not_believed(settings: Any, ida: User) -> None:
    settings.NUM_PROXIES = 2
    codes = [
        enter(Client(), "ida", "no", headers={"X-Forwarded-For": f"198.51.100.{n}"}).status_code
        for n in range(12)
    ]
    assert codes == [200] * 10 + [429] * 2


def test_behind_a_proxy_people_have_allowances_of_their_own(settings: Any, ida: User) -> None:
    settings.NUM_PROXIES = 1
    for _ in range(11):
        enter(Client(), "ida", "wrong", headers={"X-Forwarded-For": "198.51.100.7"})
    assert enter(Client(), headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 302


@pytest.mark.parametrize("forwarded", ["", ",", "unknown", "x" * 300, "::1, [::1]:443"])
def test_no_header_makes_a_server_error(settings: Any, ida: User, forwarded: str) -> None:
    settings.NUM_PROXIES = 2
    assert enter(Client(), headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="").status_code == 302


def test_codes_are_guessed_no_faster(ida: User, client: Client) -> None:
    TOTP.activate(ida, SECRET)
    enter(client)
    codes = [
        client.post("/accounts/2fa/authenticate/", {"code": f"{number:06d}"}).status_code
        for number in range(14)
    ]
    assert codes == [200] * 10 + [429] * 4
    assert client.post("/accounts/2fa/authenticate/", {"code": code_of(SECRET)}).status_code == 429
    assert Authenticator.objects.get().last_used_at is None


def test_nor_is_the_password_by_confirming(ida: User, client: Client, hashes: list[str]) -> None:
    sign_in(client, ida)
    codes = [
        client.post("/accounts/reauthenticate/", {"password": f"guess {n}"}).status_code for n in range(30)
    ]
    assert codes == [200] * 10 + [429] * 20
    assert len(hashes) == 10


def test_the_admin_has_no_door_of_its_own(client: Client, ida: User, hashes: list[str]) -> None:
    answer = client.post("/admin/login/", {"username": "ida", "password": PASSWORD})
    assert answer["Location"].startswith("/accounts/login/")
    assert hashes == []


def test_an_unknown_account_looks_and_costs_the_same(client: Client, hashes: list[str]) -> None:
    known = enter(client, "ida", "wrong").content.decode()
    cost = len(hashes)
    unknown = enter(client, "nobody", "wrong").content.decode()
    assert len(hashes) == 2 * cost == 2
    strip = str.maketrans("", "")
    assert _without_tokens(known.replace("ida", "X")) == _without_tokens(
        unknown.replace("nobody", "X")
    ).translate(strip)


def _without_tokens(page: str) -> str:
    return "\n".join(line for line in page.splitlines() if "csrfmiddlewaretoken" not in line)


def dt_in(seconds: float) -> float:
    import time

    return time.time() + seconds
