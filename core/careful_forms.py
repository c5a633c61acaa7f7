"""Forms about what others may change meanwhile: nobody overwrites what they have not seen."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.db import models
from django.http import QueryDict

SEEN_LENGTH = 4_000


def mark(value: Any) -> str:
    """A short digest of a value, the same for what the row holds and for what a browser sends back of it."""
    return hashlib.sha256(_plain(value).encode()).hexdigest()[:12]


def _plain(value: Any) -> str:
    match value:
        case None | "" | [] | {} | ():
            return ""
        case models.Model():
            return str(value.pk)
        case models.QuerySet() | list() | tuple() | set() | frozenset():
            return json.dumps(sorted(map(_plain, value)))
        case dict():
            return json.dumps(value, sort_keys=True, default=str)
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat(timespec="seconds")
    return "\n".join(str(value).split())


class SeenField(forms.CharField):
    """What the person had in front of them; itself never a change."""

    def __init__(self) -> None:
        super().__init__(required=False, max_length=SEEN_LENGTH, widget=forms.HiddenInput, label="")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


def marks_of(values: Mapping[str, Any]) -> str:
    return json.dumps({name: mark(value) for name, value in values.items()}, separators=(",", ":"))


def read_marks(text: str) -> dict[str, str]:
    """What `marks_of` wrote; of anything else nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


class CarefulForm(forms.Form):
    """Refuses once what somebody else changed as well, and shows theirs beside the person's own.

    What only the other changed stays theirs. Sent again, the form is meant as it is. A form without `seen` (a
    program's) expects nothing.
    """

    seen = SeenField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conflicts: list[str] = []
        self.initial["seen"] = marks_of(self.now_is())

    def watched(self) -> Iterable[str]:
        return [name for name in self.fields if name != "seen"]

    def now_is(self) -> Mapping[str, Any]:
        """What each of the watched fields is now."""
        return {name: self.get_initial_for_field(self.fields[name], name) for name in self.watched()}

    def look_again(self) -> Mapping[str, Any]:
        """`now_is`, for the moment of the change: locked, where there is a row."""
        return self.now_is()

    def who_changed(self, name: str) -> str:
        return "somebody"

    def shown(self, name: str, value: Any) -> str:
        """A value in words."""
        choices = {str(key): text for key, text in getattr(self.fields[name], "choices", ()) or ()}
        values = value if isinstance(value, list | tuple | set) else [value]
        plain = [str(each.pk) if isinstance(each, models.Model) else str(each) for each in values]
        words = ", ".join(str(choices.get(each, each)) for each in plain if each not in ("", "None"))
        return words[:300] or "nothing"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        seen = read_marks(data.pop("seen", "") or "")
        if not seen:
            return data
        now, untouched = self.look_again(), []
        for name, value in now.items():
            if name not in seen or name not in data or mark(value) == seen[name]:
                continue
            mine = mark(data[name])
            if mine == seen[name]:
                data[name] = self.fields[name].clean(self._sent(name, value))
                untouched.append(name)
            elif mine != mark(value):
                self.conflicts.append(name)
        if self.conflicts:
            for name in self.conflicts:
                theirs = self.shown(name, now[name])
                said = f"Meanwhile {self.who_changed(name)} changed this to “{theirs}”."
                self.add_error(name, f"{said} Yours is kept here; send it to replace theirs.")
            self.data = self._seen_now(now, untouched)
        return data

    def _seen_now(self, now: Mapping[str, Any], untouched: Iterable[str]) -> QueryDict:
        """What is shown again: the person's own words, elsewhere what it is now; sent again, it is meant."""
        shown = QueryDict(mutable=True)
        shown.update(self.data)
        for name in untouched:
            value = self._sent(name, now[name])
            if value is None or value is False:
                shown.pop(self.add_prefix(name), None)
            else:
                shown.setlist(self.add_prefix(name), value if isinstance(value, list) else [str(value)])
        shown[self.add_prefix("seen")] = marks_of(now)
        return shown

    def _sent(self, name: str, value: Any) -> Any:
        """The other's value as a browser would send it."""
        prepared = self.fields[name].prepare_value(value)
        if isinstance(prepared, list):
            return [getattr(each, "pk", each) for each in prepared]
        return getattr(prepared, "pk", prepared)


class CarefulModelForm(CarefulForm):
    """The same for a form of a row in the admin: mixed into the table's own form, before it."""

    instance: models.Model

    def now_is(self) -> Mapping[str, Any]:
        return super().now_is() if self.instance.pk else {}

    def look_again(self) -> Mapping[str, Any]:
        manager = type(self.instance)._base_manager
        row = manager.select_for_update(no_key=True).filter(pk=self.instance.pk).first()
        if row is None:
            return {}
        current = forms.model_to_dict(row, fields=list(self.watched()))
        named = {name: self.initial.get(name) for name in self.watched() if name not in current}
        return {name: self._as_shown(name, value) for name, value in (named | current).items()}

    def _as_shown(self, name: str, value: Any) -> Any:
        kept, self.initial[name] = self.initial.get(name), value
        try:
            return self.get_initial_for_field(self.fields[name], name)
        finally:
            self.initial[name] = kept
