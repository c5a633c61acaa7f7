"""The page that finds anything, and the part of it that the command palette shows."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from core.actors import Actor
from core.search import LONGEST, marked, search
from core.views.reading import reading, render_page

IN_THE_PALETTE = 5  # of a kind


@reading
def find(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is called so, of everything; `?panel=options` is what the palette lists."""
    words = request.GET.get("q", "")[:LONGEST].strip()
    in_palette = request.GET.get("panel") == "options"
    found = search(actor, words, limit=IN_THE_PALETTE) if in_palette else search(actor, words)
    groups = [(group, [(hit, marked(hit.label, words)) for hit in group.hits]) for group in found.groups]
    context = {"words": words, "groups": groups, "total": len(found.hits), "failed": found.failed}
    return render_page(request, "core/search.html", context)
