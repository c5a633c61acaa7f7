"""A shopper's browser: keeps cookies and takes every answer, good or bad, as an answer."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from demo.storefront.shop import SHOPPER
from demo.storefront.site import Site, read_json


@dataclass(frozen=True)
class Answered:
    """Status 0 stands for no answer at all."""

    status: int
    body: str


class Browser:
    """One shopper's cookie and connections; an answer of any status is no exception."""

    def __init__(self, port: int, *, timeout_seconds: float = 12.0) -> None:
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._cookies: dict[str, str] = {}

    def get(self, path: str) -> Answered:
        return self._request("GET", path, None)

    def post(self, path: str, form: dict[str, str] | None = None) -> Answered:
        return self._request("POST", path, urlencode(form or {}))

    def log_in(self, site: Site) -> Answered:
        """Log in as the site's own shopper, whose password stands in the site's secrets."""
        secrets = read_json(site.secrets) or {}
        return self.post("/login", {"user": SHOPPER, "password": secrets["shopper_password"]})

    def _request(self, method: str, path: str, form: str | None) -> Answered:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={v}" for name, v in self._cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_seconds)
        try:
            connection.request(method, path, body=form, headers=headers)
            response = connection.getresponse()
            for name, morsel in SimpleCookie(response.getheader("Set-Cookie", "")).items():
                self._cookies[name] = morsel.value
            return Answered(response.status, response.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException):
            return Answered(0, "")
        finally:
            connection.close()
