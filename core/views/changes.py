"""The history of configuration as a page."""

from __future__ import annotations

from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from core.access import may
from core.accounts.sessions import actor_of_session
from core.selectors.changes import list_changes


@require_safe
def changes(request: HttpRequest) -> HttpResponse:
    """Who changed which setting; searchable, for those who may configure."""
    actor = actor_of_session(request)
    if not may(actor, "configure"):
        raise PermissionDenied("The history of configuration is for commanders and administrators.")
    thing, words, before = (request.GET.get(name, "") for name in ("thing", "q", "before"))
    page = list_changes(actor, thing=thing, words=words, before=before)
    thing = thing if thing in page.things else ""

    def address(**asked: str) -> str:
        query = urlencode({name: value for name, value in asked.items() if value})
        return reverse("core:changes") + (f"?{query}" if query else "")

    kinds = [("Everything", ""), *((known, known) for known in page.things)]
    context = {
        "lines": page.lines,
        "words": words,
        "thing": thing,
        "filtered": bool(thing or words or before),
        "options": [
            {"label": label, "url": address(thing=key, q=words), "current": key == thing}
            for label, key in kinds
        ],
        "previous_url": address(thing=thing, q=words) if before else None,
        "next_url": address(thing=thing, q=words, before=page.before) if page.before else None,
    }
    return render(request, "core/changes.html", context)
