"""The pages that this app shows."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from comms.selectors.contacts import list_contact_groups
from core.access import may
from core.actors import Actor
from core.views.reading import reading, render_page


@reading
def contacts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Whom to call."""
    can_edit = may(actor, "configure") and request.user.is_staff
    context = {
        "groups": list_contact_groups(),
        "admin_url": reverse("admin:comms_contact_changelist") if can_edit else None,
    }
    return render_page(request, "comms/contacts.html", context)
