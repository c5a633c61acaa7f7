"""The doors of the public: the status page, its feeds, subscribing. No session, no cookie, no account."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from comms.publishing.files import CONTENT_SECURITY_POLICY, TYPES, render_html
from comms.publishing.kept import PageFile, page_file, tagged
from comms.selectors.status_page import get_past, get_title
from comms.selectors.subscribers import CONFIRM, UNSUBSCRIBE, key_of
from comms.services.subscribers import ask_subscription, confirm_subscription, end_subscription
from core.client_address import sender_of
from core.clock import utcnow
from core.ratelimits import BUDGETS

FRESH_SECONDS = 15
MOST_ADDRESSES = 600  # asked for in a minute by everybody together
EARLIEST = dt.date(2000, 1, 8)


class EmailForm(forms.Form):
    """Whom to mail."""

    email = forms.EmailField(max_length=254)


def file_view(name: str) -> Callable[[HttpRequest], HttpResponse]:
    """The view of one file of the page, as the snapshot has it."""

    @login_not_required
    @require_safe
    def view(request: HttpRequest) -> HttpResponse:
        return _cached(request, page_file(name), name.rsplit(".", 1)[-1])

    return view


@login_not_required
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """A week of past incidents, up to the day `?last=`."""
    now = utcnow()
    try:
        last = dt.date.fromisoformat(request.GET.get("last", ""))
    except ValueError:
        last = now.date()
    last = min(max(last, EARLIEST), now.date())
    days, older = get_past(last, now=now)
    context = {
        "title": get_title(),
        "days": days,
        "older": older,
        "open_at": f"{settings.PUBLIC_URL}/status/",
    }
    return _cached(request, tagged(render_html("status/history.html", context)), "html")


@login_not_required
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def subscribe(request: HttpRequest) -> HttpResponse:
    """Ask for the mail that confirms. The answer is the same whether the address is known or not."""
    shown: dict[str, Any] = {
        "heading": "Subscribe by e-mail",
        "text": "We mail you what this page says. You confirm your address first.",
        "button": "Subscribe",
        "asks_email": True,
    }
    if request.method != "POST":
        return _act(**shown)
    budget = settings.API_RATES["subscribe"]
    waits = BUDGETS.spend(f"subscribe:{sender_of(request)}", budget)
    waits = waits or BUDGETS.spend("subscribe:everybody", MOST_ADDRESSES if budget else 0)
    form = EmailForm(request.POST)
    if waits:
        said = _act(**shown, error="Too many requests. Try again in a minute.", status=429)
        said["Retry-After"] = str(waits)
        return said
    if not form.is_valid():
        return _act(**shown, error="That is no e-mail address.", status=422)
    ask_subscription(email=form.cleaned_data["email"].lower(), now=utcnow())
    return _act(
        heading="Look into your mailbox",
        text="If the address is not subscribed yet, a mail with a link is on its way to it. The link is"
        " valid for two days.",
    )


@login_not_required
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """The link of the mail: a page on GET, the act on POST, so that a mail scanner confirms nothing."""
    key = key_of(token, CONFIRM)
    if key is None:
        return _no_link()
    if request.method != "POST":
        return _act(
            heading="Confirm your subscription",
            text="We will mail you what the status page says.",
            button="Confirm",
        )
    if not confirm_subscription(key=key, now=utcnow()):
        return _no_link()
    return _act(heading="You are subscribed", text="Every mail has a link that ends the subscription.")


@login_not_required
@csrf_exempt  # RFC 8058: a mail program posts here by itself, with no page of ours before
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """The way out that every mail has: a page on GET, the act on POST. Twice is as good as once."""
    key = key_of(token, UNSUBSCRIBE)
    if key is None:
        return _no_link()
    if request.method != "POST":
        return _act(
            heading="Unsubscribe",
            text="You will get no further mail, and your address is deleted.",
            button="Unsubscribe",
        )
    end_subscription(key=key)
    return _act(heading="You are unsubscribed", text="Your address is deleted.")


def _no_link() -> HttpResponse:
    return _act(
        heading="This link is not valid", text="It is too old, or not whole. Subscribe again.", status=404
    )


def _act(
    *,
    heading: str,
    text: str,
    button: str = "",
    asks_email: bool = False,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "title": get_title(),
        "heading": heading,
        "text": text,
        "button": button,
        "asks_email": asks_email,
        "error": error,
    }
    answer = HttpResponse(render_html("status/act.html", context), content_type=TYPES["html"], status=status)
    answer["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    answer["Referrer-Policy"] = "no-referrer"  # the address of a link is what it proves
    return answer


def _cached(request: HttpRequest, file: PageFile, kind: str) -> HttpResponse:
    """With an ETag and for how long it is fresh; 304 where the reader has it."""
    # The answer is everybody's: no `Vary: Cookie`, whoever looked at the session.
    request.session.accessed = False
    answer = HttpResponse(file.content, content_type=TYPES[kind])
    answer["ETag"] = file.etag
    answer["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
    if kind == "html":
        answer["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    else:
        answer["Access-Control-Allow-Origin"] = "*"  # it is public: widgets of other pages read it
    return get_conditional_response(request, etag=file.etag, response=answer) or answer
