"""The page of an account's API tokens: the secret is in one answer and never anywhere again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from core import live
from core.access import may
from core.accounts.sessions import actor_of_session
from core.actors import Actor
from core.clock import utcnow
from core.errors import FirebreakError, Invalid, NotFound
from core.forms import TokenForm
from core.models import User
from core.selectors.tokens import get_token, list_tokens
from core.services.tokens import issue_token, revoke_token
from core.views.reading import answer_panels, render_page


@never_cache
@sensitive_variables("secret")
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The account's own tokens, and a form for a new one."""
    user = _user(request)
    form, status, issued = TokenForm(), 200, None
    if request.method == "POST":
        names = frozenset(line.name for line in list_tokens(user, utcnow()) if line.usable)
        form = TokenForm(request.POST, taken=names)
        secret = _issue(form, user, actor_of_session(request))
        if secret is None:
            status = 422
        else:
            form, issued = TokenForm(), {"name": form.cleaned_data["name"], "text": secret}
    return _show(request, user, form, status=status, issued=issued)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest, ident: str) -> HttpResponse:
    """Ask, then end one of the account's own tokens."""
    user, now = _user(request), utcnow()
    line = get_token(user, ident, now)
    if line is None:
        raise Http404("There is no such token.")
    form = forms.Form(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        try:
            revoke_token(token_id=ident, actor=actor_of_session(request), now=now)
        except NotFound as error:
            raise Http404(error.message) from error
        except FirebreakError as error:
            form.is_valid()
            form.add_error(None, error.message)
            status = error.status
        else:
            messages.success(request, f"{line.name} is revoked: what still uses it is refused from now on.")
            return HttpResponseRedirect(reverse("core:tokens"))
    context = {
        "title": f"Revoke {line.name}",
        "form": form,
        "action_url": request.path,
        "back_url": reverse("core:tokens"),
        "submit_label": "Revoke",
        "danger": True,
        "consequences": ["Every program that uses this token is refused at once.", "This cannot be undone."],
    }
    return render(request, "parts/form_page.html", context, status=status)


def _issue(form: TokenForm, user: User, actor: Actor) -> str | None:
    """The new token's text; None when it was refused and the form says why."""
    if not form.is_valid():
        return None
    try:
        _token, text = issue_token(
            username=user.get_username(), actor=actor, now=utcnow(), **form.cleaned_data
        )
    except Invalid as error:
        for name, said in error.fields.items():
            form.add_error(name, said)
        return None
    except FirebreakError as error:
        form.add_error(None, error.message)
        return None
    return text


def _show(
    request: HttpRequest, user: User, form: TokenForm, *, status: int, issued: dict[str, str] | None
) -> HttpResponse:
    request.live_since = live.position()  # type: ignore[attr-defined]
    lines = list_tokens(user, utcnow())
    usable = sum(line.usable for line in lines)
    context: dict[str, Any] = {
        "live": {"url": reverse("core:tokens"), "topics": "system:firebreak"},
        "form": form,
        "issued": issued,
        "tokens": lines,
        "soon": [line for line in lines if line.state == "soon"],
        "usable": usable,
        "most": settings.TOKENS_PER_ACCOUNT,
        "may_issue": may(actor_of_session(request), "read"),
        "api_url": f"{settings.PUBLIC_URL}/api/v1/incidents/",
    }
    if request.method == "GET" and {"panel", "panels"} & set(request.GET):
        actor = actor_of_session(request)
        try:
            return answer_panels(request, actor, lambda: render_page(request, "core/tokens.html", context))
        except NotFound as error:
            raise Http404(error.message) from error
    return render(request, "core/tokens.html", context, status=status)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware let nobody else in
    return request.user
