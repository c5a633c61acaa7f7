"""Sign-in through the organisation's identity provider (OpenID Connect), stricter than allauth's own.

Accounts are matched by the provider's `sub` alone. PKCE, `state` (allauth) and a `nonce` bind the answer to
this browser; the ID token's signature, issuer, audience and time are always checked.
"""

from __future__ import annotations

import functools
from typing import Any

import jwt
import requests
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Client, OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import constant_time_compare, salted_hmac

from core import history
from core.accounts.levels import follow_claim
from core.clock import utcnow
from core.models import User

PROVIDER_ID = "sso"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
LEEWAY_SECONDS = 60
FRESH_SECONDS = 300  # how old the provider's own sign-in may be when we asked for a new one
MOST_BYTES = 1_000_000


def is_linked(user: AbstractBaseUser) -> bool:
    """Whether the account signs in through the provider."""
    return bool(SocialAccount.objects.filter(user_id=user.pk).exists())


def _nonce(state: str) -> str:
    """Bound to the single-use `state`, which is bound to the browser's session."""
    return salted_hmac("core.accounts.oidc.nonce", state, algorithm="sha256").hexdigest()


class Client(OAuth2Client):  # type: ignore[misc]
    """Adds the nonce to the request."""

    def get_redirect_url(self, authorization_url: str, scope: Any, extra_params: dict[str, Any]) -> str:
        extra = extra_params | {"nonce": _nonce(self.state)}
        return str(super().get_redirect_url(authorization_url, scope, extra))


class Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """The exchange with the provider; whatever is wrong with its answer is an OAuth2Error."""

    client_class = Client

    @property
    def openid_config(self) -> dict[str, Any]:
        try:
            found = super().openid_config
            if not isinstance(found, dict) or str(found["issuer"]).rstrip("/") != settings.OIDC_ISSUER:
                raise OAuth2Error("The provider calls itself otherwise than OIDC_ISSUER.")
            return found
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            raise OAuth2Error("The provider cannot be read.") from error

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        answer = kwargs["response"].get("id_token")
        if not isinstance(answer, str):
            raise OAuth2Error("The provider sent no ID token.")
        claims = self._decode_id_token(app, answer)
        if not constant_time_compare(str(claims.get("nonce", "")), _nonce(request.GET.get("state", ""))):
            raise OAuth2Error("The ID token's nonce is not ours.")
        if request.user.is_authenticated and "auth_time" in claims:
            _require_fresh(claims["auth_time"])
        userinfo = self._userinfo(token.token, claims) if "userinfo_endpoint" in self.openid_config else {}
        return self.get_provider().sociallogin_from_response(
            request, {"userinfo": claims | userinfo, "id_token": claims}
        )

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
        try:
            header = jwt.get_unverified_header(id_token)
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
            usable = [key for key in keys if key.key_id == header.get("kid") and key.key_type != "oct"]
            if not usable:
                raise OAuth2Error("The ID token's key is not among the provider's.")
            return dict(
                jwt.decode(
                    id_token,
                    key=usable[0].key,
                    algorithms=ALGORITHMS,
                    audience=app.client_id,
                    issuer=self.openid_config["issuer"],
                    leeway=LEEWAY_SECONDS,
                    options={"require": ["exp", "iat", "iss", "aud", "sub"]},
                )
            )
        except (jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
            raise OAuth2Error("The ID token is not valid.") from error

    def _userinfo(self, access_token: str, claims: dict[str, Any]) -> dict[str, Any]:
        found = self._fetch_user_info(access_token)
        if not isinstance(found, dict) or found.get("sub") != claims["sub"]:
            raise OAuth2Error("The provider's userinfo is about somebody else.")
        return found


class Provider(OpenIDConnectProvider):  # type: ignore[misc]
    """The one provider of OIDC_ISSUER."""

    oauth2_adapter_class = Adapter

    @classmethod
    def get_package(cls) -> str:
        return "allauth.socialaccount.providers.openid_connect"  # whose addresses it has

    def get_default_scope(self) -> list[str]:
        return list(settings.OIDC_SCOPES)

    def redirect(self, request: HttpRequest, process: str, *args: Any, **kwargs: Any) -> HttpResponse:
        # Only ours: allauth lets the address add parameters of its own.
        kwargs["auth_params"], kwargs["scope"] = self.get_auth_params(), self.get_scope()
        if request.user.is_authenticated:  # to confirm who it is, not to be waved through
            kwargs["auth_params"] |= {"prompt": "login", "max_age": "0"}
        answer: HttpResponse
        try:
            answer = super().redirect(request, process, *args, **kwargs)
        except (OAuth2Error, KeyError) as error:
            answer = render_authentication_error(request, self, exception=error)
        return answer


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Who may come in by the provider, and with which level."""

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[Any]:
        """Only what the environment configures: no row can add a provider."""
        apps = _configured_apps(provider=provider, client_id=client_id)
        return [app for found in apps.values() for app in found]

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Whoever the provider lets in has an account; the level is another matter."""
        return True

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> Any:
        """A free username is given where the provider's is taken: it names, it never matches.

        The e-mail address stays with the provider's record: here it would be a claim on somebody's account.
        """
        user = super().populate_user(request, sociallogin, data)
        user.username = _free_username(str(data.get("username") or ""), sociallogin.account.uid)
        user.email = ""
        sociallogin.email_addresses = []
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """The level follows the claim at each sign-in, before the session is made."""
        if sociallogin.is_existing and sociallogin.user.is_active:
            follow_claim(sociallogin.user, _claims_of(sociallogin))
        connects = sociallogin.state.get("process") == "connect"
        if sociallogin.is_existing and not connects:
            _require_level(request, sociallogin.user)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> Any:
        """The account is there from now on; without a level an administrator has to give it one first."""
        user = super().save_user(request, sociallogin, form)
        follow_claim(user, _claims_of(sociallogin))
        _require_level(request, user)
        return user

    def get_requests_session(self) -> requests.Session:
        """Bounded in time and size, no redirects; not the guarded client: see docs/access.md."""
        session = requests.Session()
        session.request = functools.partial(  # type: ignore[method-assign]
            session.request, timeout=(3, settings.SOCIALACCOUNT_REQUESTS_TIMEOUT), allow_redirects=False
        )
        session.hooks["response"].append(_refuse_large)
        return session


@login_not_required
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends the browser back to."""
    if provider_id != PROVIDER_ID or not settings.OIDC_ISSUER:
        raise Http404
    adapter = Adapter(request, provider_id)
    try:
        with history.by_request(request, actor="identity provider"):  # a GET that makes accounts and levels
            answer: HttpResponse = OAuth2CallbackView.adapter_view(adapter)(request)
    except (OAuth2Error, KeyError) as error:  # read before allauth's own guard
        answer = render_authentication_error(request, adapter.get_provider(), exception=error)
    return answer


def _configured_apps(**wanted: Any) -> dict[str, list[Any]]:
    from allauth.socialaccount.adapter import _build_apps_from_settings  # noqa: PLC0415 - needs the registry

    return dict(_build_apps_from_settings(**wanted))


def _require_fresh(auth_time: Any) -> None:
    if not isinstance(auth_time, int) or utcnow().timestamp() - auth_time > FRESH_SECONDS:
        raise OAuth2Error("The provider did not ask again who this is.")


def _refuse_large(answer: requests.Response, *args: Any, **kwargs: Any) -> None:
    if len(answer.content) > MOST_BYTES:
        raise requests.RequestException("The provider's answer is too large.")


def _claims_of(sociallogin: SocialLogin) -> dict[str, Any]:
    return dict(sociallogin.account.extra_data.get("userinfo") or {})


def _require_level(request: HttpRequest, user: User) -> None:
    if user.is_active and not user.level:
        context = {"username": user.get_username(), "by_claim": bool(settings.OIDC_LEVEL_CLAIM)}
        raise ImmediateHttpResponse(render(request, "account/no_level.html", context, status=403))


def _free_username(wanted: str, uid: str) -> str:
    clean = "".join(sign for sign in wanted if sign.isalnum() or sign in "@.+-_")[:100]
    if clean and not User.objects.filter(username__iexact=clean).exists():
        return clean
    return f"{clean or 'sso'}-{salted_hmac('core.accounts.oidc.username', uid).hexdigest()[:8]}"
