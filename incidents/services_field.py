"""The field in which people name services: their short names, searched for as one types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse

from incidents.models import Service
from incidents.models.services import slug_validator
from incidents.selectors.finding import choose_services

MOST = 200  # services in one field
OFFERED = 50  # without the search, for browsers without scripts
_BETWEEN = re.compile(r"[\s,;]+")


class NamesWidget(forms.TextInput):
    """Names with commas or blanks between; `static/firebreak/names_field.js` makes chips of them."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[str]:
        sent = data.getlist(name) if hasattr(data, "getlist") else data.get(name, ())
        texts = [sent] if isinstance(sent, str) else sent
        return [part for text in texts for part in _BETWEEN.split(str(text)) if part]

    def format_value(self, value: Any) -> str:
        return ", ".join(value) if isinstance(value, list | tuple) else str(value or "")


class ServicesWidget(NamesWidget):
    """Short names of services."""

    template_name = "incidents/parts/services_field.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        offers = [(service.slug, str(service)) for service in choose_services("", OFFERED)]
        context["widget"]["attrs"]["list"] = f"{context['widget']['attrs'].get('id', name)}_some"
        return {**context, "offers": offers, "search_url": reverse("incidents:offered_services")}


class ServicesField(forms.Field):
    """Slugs of services that exist, each once, in the order they were named."""

    default_error_messages = {
        "too_many": "Name %(most)s services at most.",
        "unknown": "There is no service “%(name)s”.",
        "unknown_like": "There is no service “%(name)s”. Did you mean %(like)s?",
    }

    def __init__(self, *, autofocus: bool = False, **options: Any) -> None:
        attrs = {"autocomplete": "off", "spellcheck": "false", **({"autofocus": True} if autofocus else {})}
        super().__init__(widget=ServicesWidget(attrs=attrs), **options)

    def clean(self, value: Any) -> list[str]:
        """Raises ValidationError that says which is unknown, with names that are like it."""
        names = list(dict.fromkeys(str(name).lower() for name in value or ()))
        self.validate(names)
        if len(names) > MOST:
            raise ValidationError(self.error_messages["too_many"], code="too_many", params={"most": MOST})
        asked = [name for name in names if slug_validator.regex.match(name)]  # type: ignore[union-attr]
        known = set(Service.objects.filter(slug__in=asked).values_list("slug", flat=True)) if asked else set()
        if unknown := [name for name in names if name not in known]:
            raise ValidationError([self._unknown(name) for name in unknown[:5]])
        return names

    def _unknown(self, name: str) -> ValidationError:
        name = name[:60]
        like = ", ".join(service.slug for service in choose_services(name, 3)) if name.isprintable() else ""
        code = "unknown_like" if like else "unknown"
        return ValidationError(self.error_messages[code], code=code, params={"name": name, "like": like})
