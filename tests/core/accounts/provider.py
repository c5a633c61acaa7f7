"""A small real OpenID Connect provider on loopback, which can also misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

CLIENT_ID, CLIENT_SECRET = "firebreak", "a secret of the client"


class Provider:
    """Codes, PKCE, a signed ID token, userinfo. `claims` and `spoil` change what it says."""

    def __init__(self, server: HTTPServer) -> None:
        self.issuer = server.url_for("").rstrip("/")
        self.key, self.other_key = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in "ab"
        )
        self.claims: dict[str, Any] = {"sub": "u-1", "preferred_username": "ida"}
        self.spoil: dict[str, Any] = {}
        self.algorithm: str = "RS256"
        self.signing_key: Any = self.key
        self.userinfo: dict[str, Any] | None = None
        self.asked: dict[str, str] = {}
        self.tokens_given = 0
        for path, answer in (
            ("/.well-known/openid-configuration", self._configuration),
            ("/jwks", self._jwks),
            ("/token", self._token),
            ("/userinfo", lambda _request: _json(self.userinfo or self.claims)),
        ):
            server.expect_request(path).respond_with_handler(answer)

    def authorize(self, location: str) -> str:
        """What the browser does at the provider: sign in, and come back with a code and the state."""
        parts = urlsplit(location)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.issuer}/authorize"
        self.asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        back = urlsplit(self.asked["redirect_uri"])
        return f"{back.path}?code=c-1&state={self.asked['state']}"

    def _configuration(self, _request: Request) -> Response:
        return _json(
            {
                "issuer": self.spoil.get("issuer_of_configuration", self.issuer),
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        )

    def _jwks(self, _request: Request) -> Response:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return _json({"keys": [public | {"kid": "k-1", "use": "sig", "alg": "RS256"}]})

    def _token(self, request: Request) -> Response:
        form = request.form
        if (form["client_id"], form["client_secret"], form["code"]) != (CLIENT_ID, CLIENT_SECRET, "c-1"):
            return _json({"error": "invalid_client"}, 401)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != self.asked.get("code_challenge"):
            return _json({"error": "invalid_grant"}, 400)
        self.tokens_given += 1
        return _json({"access_token": "a-1", "token_type": "Bearer", "id_token": self._id_token()})

    def _id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": self.asked.get("nonce"),
            **self.claims, **self.spoil.get("token", {}),
        }  # fmt: skip
        if self.algorithm == "none":
            return jwt.encode(claims, "", algorithm="none", headers={"kid": "k-1"})
        return jwt.encode(claims, self.signing_key, algorithm=self.algorithm, headers={"kid": "k-1"})


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
