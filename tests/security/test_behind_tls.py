"""With PUBLIC_URL=https://…: HSTS, cookies of this host alone, and no program led from plain HTTP to TLS."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.test import Client

from core.models import User
from tests.web import WebProcess

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("tls")
    key = Fernet.generate_key().decode()
    process = WebProcess(folder, PUBLIC_URL="https://firebreak.example.test", ENCRYPTION_KEYS=key)
    process.start()
    yield process
    process.stop()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"ENCRYPTION_KEYS": ""}, "ENCRYPTION_KEYS is not set"), ({"PLAYBOOK_DIR": "/nothing"}, "playbook")],
)
def test_it_does_not_start_without_what_must_be_right(
    transactional_db: None, tmp_path: Path, wrong: dict[str, str], words: str
) -> None:
    key = Fernet.generate_key().decode()
    settings = {"PUBLIC_URL": "https://firebreak.example.test", "ENCRYPTION_KEYS": key, **wrong}
    with pytest.raises(AssertionError, match="does not answer"):
        WebProcess(tmp_path, **settings).start()
    said = (tmp_path / "web.log").read_text()
    assert "Firebreak does not start" in said and words in said


def ask(web: WebProcess, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    link = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    link.request(method, path, headers={"Host": "firebreak.example.test", **headers})
    answer = link.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    link.close()
    return answer


TLS = {"X-Forwarded-Proto": "https"}


def test_hsts_and_cookies_of_this_host_alone(web: WebProcess, transactional_db: None) -> None:
    User.objects.create_user("ida", password="a long passphrase for tests")
    page = ask(web, "GET", "/accounts/login/", **TLS)
    assert page.status == 200
    hsts = page.headers["Strict-Transport-Security"]
    assert "max-age=31536000" in hsts and "includeSubDomains" in hsts
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-csrftoken=") and "Secure" in cookie and "Path=/" in cookie
    assert "Domain" not in cookie
    secret = cookie.split("=", 1)[1].split(";")[0]
    link = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    form = f"csrfmiddlewaretoken={secret}&login=ida&password=a+long+passphrase+for+tests"
    link.request(
        "POST", "/accounts/login/", form,
        {
            "Host": "firebreak.example.test", "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"__Host-csrftoken={secret}", "Referer": "https://firebreak.example.test/accounts/login/", **TLS,
        },
    )  # fmt: skip
    answer = link.getresponse()
    assert answer.status == 302, answer.read()
    cookies = answer.headers.get_all("Set-Cookie") or []
    session = next(text for text in cookies if text.startswith("__Host-sessionid="))
    assert (
        "Secure" in session
        and "HttpOnly" in session
        and "SameSite=Lax" in session
        and "Domain" not in session
    )
    link.close()


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/admin/"])
def test_people_are_redirected_to_tls(web: WebProcess, path: str) -> None:
    answer = ask(web, "GET", path)
    assert (answer.status, answer.headers["Location"]) == (301, f"https://firebreak.example.test{path}")


@pytest.mark.parametrize("path", ["/api/v1/incidents/", "/api/v1/schema/", "/v2/enqueue"])
def test_programs_are_refused_without_tls(web: WebProcess, path: str) -> None:
    """A redirect would be followed, with the token in the clear, every time."""
    answer = ask(web, "POST", path, Authorization="Bearer fb_x")
    assert answer.status == 403 and "Location" not in answer.headers
    assert b"tls_required" in answer.body  # type: ignore[attr-defined]
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_underscore_does_not_pass_for_the_proxy(web: WebProcess) -> None:
    assert ask(web, "GET", "/", X_Forwarded_Proto="https").status == 301


def test_without_tls_nothing_of_it(db: None) -> None:
    page = Client().get("/accounts/login/")
    assert "Strict-Transport-Security" not in page.headers
    assert "csrftoken" in page.cookies
