"""The pages that this app shows."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from comms.selectors.contacts import contacts_page
from core.access import may
from core.actors import Actor
from core.clock import utcnow
from core.views.reading import page_query, reading, render_page

ORDERS = (("kind", "All"), ("role", "By role"), ("incident", "On an incident now"))


@reading
def contacts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Whom to call."""
    by = page_query(request).get("by", "kind")
    by = by if by in dict(ORDERS) else "kind"
    can_edit = may(actor, "configure") and request.user.is_staff
    context = {
        "page": contacts_page(actor, by=by, now=utcnow()),
        "orders": [
            {"label": label, "url": f"{reverse('comms:contacts')}?by={key}", "current": key == by}
            for key, label in ORDERS
        ],
        "admin_url": reverse("admin:comms_contact_changelist") if can_edit else None,
    }
    return render_page(request, "comms/contacts.html", context)
