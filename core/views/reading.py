"""The door of every page that only reads: who asks, and one panel of it when that is what is asked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec
from urllib.parse import unquote, urlsplit

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.template import TemplateDoesNotExist
from django.views.decorators.http import require_safe

from core.access import require
from core.accounts.sessions import actor_of_session
from core.actors import Actor
from core.errors import NotAllowed, NotFound
from core.live import spoken_all

_P = ParamSpec("_P")


@dataclass(frozen=True)
class Live:
    """Where a page's panels render again, and the topics that make them; numbers change more often.

    Named plainly; kept as they are sent (core.live.spoken_all).
    """

    url: str
    topics: str
    metric_topics: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "topics", spoken_all(self.topics))
        object.__setattr__(self, "metric_topics", spoken_all(self.metric_topics))


def reading(
    view: Callable[Concatenate[HttpRequest, Actor, _P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, _P], HttpResponse]:
    """A GET page for accounts that may read; the view is given the actor."""

    @require_safe
    @functools.wraps(view)
    def door(request: HttpRequest, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponse:
        actor = actor_of_session(request)
        try:
            require(actor, "read")
            return view(request, actor, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.message) from error
        except NotAllowed as error:
            raise PermissionDenied(error.message) from error

    return door  # type: ignore[return-value]


def render_page(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """The whole page, or only its partial `?panel=KEY`."""
    key = request.GET.get("panel", "")
    if not key:
        return render(request, template, dict(context))
    if not key.isidentifier():
        raise NotFound("No such panel.")
    try:
        return render(request, f"{template}#{key}", dict(context))
    except TemplateDoesNotExist as error:
        raise NotFound("No such panel.") from error


def page_query(request: HttpRequest) -> QueryDict:
    """The filters of the page: those of its own address when only a panel of it is asked for."""
    current = request.htmx.current_url  # type: ignore[attr-defined]
    if "panel" not in request.GET or not current:
        return request.GET
    try:
        query = urlsplit(current).query
    except ValueError:  # a header that is no address
        return QueryDict()
    # Nobody has looked into this header yet, and no text of the database has a NUL character.
    return QueryDict("" if "\0" in unquote(query) else query)
