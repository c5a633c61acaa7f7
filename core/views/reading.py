"""The door of every page that only reads: who asks, and one panel of it when that is what is asked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from core import live
from core.access import require
from core.accounts.sessions import actor_of_session
from core.actors import Actor
from core.errors import NotAllowed, NotFound
from core.live import spoken_all
from core.live_panels import Asked, Beginning, Rendering, answer, audiences, render_all, shared_panels
from core.once import asking_once
from core.views.context import page as page_context

_P = ParamSpec("_P")
_Answer = TypeVar("_Answer", bound=HttpResponseBase)


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
    view: Callable[Concatenate[HttpRequest, Actor, _P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, _P], HttpResponseBase]:
    """A GET page for accounts that may read; the view is given the actor."""

    @require_safe
    @functools.wraps(view)
    def door(request: HttpRequest, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
        actor = actor_of_session(request)

        def read() -> HttpResponseBase:
            with asking_once():
                return view(request, actor, *args, **kwargs)

        try:
            require(actor, "read")
            if not {"panel", "panels"} & set(request.GET):
                request.live_since = live.position()  # type: ignore[attr-defined]
            return answer_panels(request, actor, read)
        except NotFound as error:
            raise Http404(error.message) from error
        except NotAllowed as error:
            raise PermissionDenied(error.message) from error

    return door  # type: ignore[return-value]


class _Rendered(HttpResponse):
    """The answer of a view to `?panels=`: the panels one by one."""

    found: Mapping[str, Rendering]


def answer_panels(request: HttpRequest, actor: Actor, view: Callable[[], _Answer]) -> _Answer | HttpResponse:
    """`?panels=KEY,KEY` as JSON (core.live_panels.answer), `?panel=KEY` as it is. Raises NotFound.

    `view` renders by `render_page`.
    """
    if "panels" not in request.GET:
        return view()
    asked = Asked.read(request.path, request.META.get("QUERY_STRING", ""))
    if asked is None:
        raise NotFound("No such panels.")
    audience = audiences([(actor, request.path)])[0]
    request.live_shared = audience is not None  # type: ignore[attr-defined]

    def make(keys: Sequence[str]) -> Mapping[str, Rendering]:
        request.live_panels = keys  # type: ignore[attr-defined]
        request.live_beginning = Beginning.now()  # type: ignore[attr-defined]  # before the view reads anything
        rendered = view()
        assert isinstance(rendered, _Rendered)
        return rendered.found

    found = make(asked.panels) if audience is None else shared_panels.obtain(audience, asked, make)
    return HttpResponse(answer(asked, found), content_type="application/json")


def asked_panels(request: HttpRequest) -> tuple[str, ...]:
    """Which panels of the page are asked for; empty for the whole page."""
    one = request.GET.get("panel", "")
    return tuple(getattr(request, "live_panels", ())) or ((one,) if one else ())


def render_page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    added: Callable[[str], tuple[str, Mapping[str, Any]] | None] = lambda _key: None,
) -> HttpResponse:
    """The whole page, or only its partials `?panel=KEY` or `?panels=KEY,KEY`.

    A value of `context` that is a `Later` is read when a partial that is asked for shows it. `added` gives
    template and context of a panel that is no partial of the page. Raises NotFound.
    """
    keys = asked_panels(request)
    if not keys:
        whole = {name: value() if isinstance(value, Later) else value for name, value in context.items()}
        return render(request, template, whole)
    shared = getattr(request, "live_shared", False)

    # What is shared has no request: it can name nobody and holds no token (live.js puts it in).
    base: dict[str, Any] = {"csrf_token": "NOTPROVIDED", "request": {"path": request.path}} if shared else {}

    def of_panel(key: str) -> str:
        if not key.isidentifier():
            raise NotFound("No such panel.")
        panel: tuple[str, Mapping[str, Any]]
        if key == "banners":
            panel = "parts/banners.html", {"banners": page_context(request)["banners"]}
        else:
            panel = added(key) or (f"{template}#{key}", context)
        name, values = panel
        try:
            return render_to_string(name, base | dict(values), None if shared else request)
        except TemplateDoesNotExist as error:
            raise NotFound("No such panel.") from error

    if not hasattr(request, "live_panels"):
        return HttpResponse(of_panel(keys[0]))
    rendered = _Rendered()
    rendered.found = render_all(keys, of_panel, request.live_beginning)  # type: ignore[attr-defined]
    return rendered


class Later:
    """A value of a page's context that is read once, and only when it is shown."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = functools.cache(read)

    def __call__(self) -> Any:
        return self._read()


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
