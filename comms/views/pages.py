"""The pages that this app shows."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from comms.selectors.contacts import contacts_page
from core.access import may
from core.actors import Actor
from core.clock import utcnow
from core.search import LONGEST
from core.texts import made_harmless
from core.views.reading import page_query, reading, render_page

ORDERS = (("kind", "All"), ("role", "By role"), ("incident", "On an incident now"))


@reading
def contacts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Whom to call."""
    query = page_query(request)
    by = query.get("by", "kind")
    by = by if by in dict(ORDERS) else "kind"
    words = made_harmless(query.get("q", "")[:LONGEST])
    searched = {"q": words} if words else {}
    can_edit = may(actor, "configure") and request.user.is_staff
    context = {
        "page": contacts_page(actor, by=by, now=utcnow(), words=words),
        "orders": [
            {
                "label": label,
                "url": f"{reverse('comms:contacts')}?{urlencode({'by': key} | searched)}",
                "current": key == by,
            }
            for key, label in ORDERS
        ],
        "by": by,
        "words": words,
        "admin_url": reverse("admin:comms_contact_changelist") if can_edit else None,
    }
    return render_page(request, "comms/contacts.html", context)
