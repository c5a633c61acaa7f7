"""This app in the admin: contacts first, messages and deliveries to read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from comms.models import Component, Contact, Delivery, Message
from core.admin import ConfigurationAdmin, ReadOnlyAdmin, ReadOnlyInline
from incidents.states import AUDIENCES, audience_label


class ContactForm(forms.ModelForm):  # type: ignore[type-arg]
    """A contact with its audiences as check boxes."""

    audiences = forms.MultipleChoiceField(
        choices=[(audience, audience_label(audience)) for audience in AUDIENCES],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )

    class Meta:
        model = Contact
        fields = (
            "name", "kind", "title", "role", "audiences", "email", "phone", "support_url", "user", "active",
        )  # fmt: skip


@admin.register(Contact)
class ContactAdmin(ConfigurationAdmin):
    form = ContactForm
    list_display = ("name", "kind", "title", "role", "audiences", "email", "phone", "active")
    list_filter = ("kind", "role", "active")
    search_fields = ("name", "title", "email", "phone")


@admin.register(Component)
class ComponentAdmin(ConfigurationAdmin):
    """Where it stands on the status page; its state is set on the page Components."""

    list_display = ("service", "group", "position", "description", "state")
    list_editable = ("group", "position")
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
    list_display = ("created_at", "template", "subject", "state", "finished_at")
    list_filter = ("template", "state")
    search_fields = ("subject", "incident__ref")
    inlines = (DeliveryInline,)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("message", "channel", "recipient", "state", "attempts", "due_at", "sent_at", "last_error")
    list_filter = ("state", "channel")
    list_select_related = ("message",)
    search_fields = ("recipient", "message__subject")
