"""This app in the admin: contacts first, messages and deliveries to read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from comms.models import Component, Contact, Delivery, Message
from comms.models.contacts import time_zones
from comms.rules.contact_sheets import COLUMNS
from comms.selectors.outbox import visible_messages
from comms.states import Means
from core.accounts.sessions import actor_of_session
from core.admin import ConfigurationAdmin, ReadOnlyAdmin, ReadOnlyInline
from incidents.states import AUDIENCES, audience_label


class ContactForm(forms.ModelForm):  # type: ignore[type-arg]
    """A contact: audiences as check boxes, time zones to choose from, ways in the order of reach."""

    audiences = forms.MultipleChoiceField(
        choices=[(audience, audience_label(audience)) for audience in AUDIENCES],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    time_zone = forms.ChoiceField(choices=[(zone, zone) for zone in sorted(time_zones())], required=False)
    reach = forms.CharField(
        required=False,
        help_text=f"How to reach them, best first, with commas: {', '.join(Means.values)}."
        " Empty: the playbook's order.",
    )

    class Meta:
        model = Contact
        fields = COLUMNS

    def clean_time_zone(self) -> str:
        return self.cleaned_data["time_zone"] or "UTC"

    def clean_reach(self) -> list[str]:
        ways = str(self.cleaned_data["reach"]).replace(",", " ").split()
        if unknown := [way for way in ways if way not in Means.values]:
            raise forms.ValidationError(f"{unknown[0][:60]} is no way; there are {', '.join(Means.values)}.")
        return ways

    def get_initial_for_field(self, field: forms.Field, field_name: str) -> Any:
        found = super().get_initial_for_field(field, field_name)
        return ", ".join(found) if field_name == "reach" and isinstance(found, list) else found


@admin.register(Contact)
class ContactAdmin(ConfigurationAdmin):
    form = ContactForm
    fieldsets = (
        (None, {"fields": ("name", "kind", "title", "role", "audiences", "user", "active")}),
        ("Addresses", {"fields": ("email", "phone", "chat", "support_url")}),
        ("When and how", {"fields": ("reach", "time_zone", "quiet_from", "quiet_until")}),
    )  # fmt: skip
    list_display = ("name", "kind", "title", "role", "audiences", "email", "phone", "time_zone", "active")
    list_filter = ("kind", "role", "active")
    search_fields = ("name", "title", "email", "phone", "chat")


@admin.register(Component)
class ComponentAdmin(ConfigurationAdmin):
    """Where it stands on the status page; its state is set on the page Components."""

    list_display = ("service", "group", "position", "description", "state")
    list_select_related = ("service",)
    search_fields = ("service__name", "service__public_name", "group")
    readonly_fields = ("service",)
    deletable = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a service with a public name is one


class DeliveryInline(ReadOnlyInline):
    model = Delivery
    fields = ("channel", "recipient", "state", "attempts", "sent_at", "receipt", "last_error")


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """None of an incident that the account may not see."""

    list_display = ("created_at", "template", "subject", "state", "finished_at")
    list_filter = ("template", "state")
    search_fields = ("subject", "incident__ref")
    inlines = (DeliveryInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows = super().get_queryset(request)
        # Who may not look at all is told so, whatever there is.
        return rows.filter(pk__in=_seen(request)) if self.has_view_permission(request) else rows


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """None of an incident that the account may not see."""

    list_display = ("message", "channel", "recipient", "state", "attempts", "due_at", "sent_at", "last_error")
    list_filter = ("state", "channel")
    list_select_related = ("message",)
    search_fields = ("recipient", "message__subject")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows = super().get_queryset(request)
        return rows.filter(message__in=_seen(request)) if self.has_view_permission(request) else rows


def _seen(request: HttpRequest) -> QuerySet[Message, int]:
    return visible_messages(actor_of_session(request)).values_list("pk", flat=True)
