"""The field in which people name accounts, searched for as one types."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse

from incidents.selectors.people import choose_people, known_people
from incidents.services_field import NamesWidget

OFFERED = 50  # without the search, for browsers without scripts


class PeopleWidget(NamesWidget):
    """Names of accounts with commas between; `static/firebreak/names_field.js` makes chips of them."""

    template_name = "incidents/parts/people_field.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        offers = [(user.get_username(), user.get_full_name()) for user in choose_people("", OFFERED)]
        context["widget"]["attrs"]["list"] = f"{context['widget']['attrs'].get('id', name)}_some"
        return {**context, "offers": offers, "search_url": reverse("incidents:offered_people")}


class PeopleField(forms.Field):
    """Names of accounts that are there, each once, in the order they were named. `named` were named before:
    they may stay, also where the account has left.
    """

    default_error_messages = {
        "too_many": "Name %(most)s people at most.",
        "unknown": "There is no account “%(name)s”.",
        "unknown_like": "There is no account “%(name)s”. Did you mean %(like)s?",
    }

    def __init__(self, *, most: int, named: Collection[str] = (), **options: Any) -> None:
        self.most, self.named = most, frozenset(named)
        super().__init__(widget=PeopleWidget(attrs={"autocomplete": "off", "spellcheck": "false"}), **options)

    def clean(self, value: Any) -> list[str]:
        """Raises ValidationError that says which is unknown, with names that are like it."""
        sent = list(dict.fromkeys(str(name) for name in value or ()))
        self.validate(sent)
        if len(sent) > self.most:
            raise ValidationError(
                self.error_messages["too_many"], code="too_many", params={"most": self.most}
            )
        known = known_people([name for name in sent if name not in self.named])
        unknown = [name for name in sent if name not in self.named and name.lower() not in known]
        if unknown:
            raise ValidationError([self._unknown(name) for name in unknown[:5]])
        return list(dict.fromkeys(name if name in self.named else known[name.lower()] for name in sent))

    def _unknown(self, name: str) -> ValidationError:
        name = name[:60]
        found = choose_people(name, 3) if name.isprintable() else []
        like = ", ".join(user.get_username() for user in found)
        code = "unknown_like" if like else "unknown"
        return ValidationError(self.error_messages[code], code=code, params={"name": name, "like": like})
