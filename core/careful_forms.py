"""Forms about what others may change meanwhile: nobody overwrites what they have not seen."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.db import models
from django.http import QueryDict

from core.differing import Pieces, side_by_side

SEEN_LENGTH = 20_000  # sixty characters for each field
SHORT = 80  # characters of a value that a sentence quotes whole


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
    except (ValueError, RecursionError):  # also nested as no form of ours is
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Beside:
    """Two people's texts of one field, each in pieces with whether the other lacks them."""

    who: str
    theirs: Pieces
    mine: Pieces


class CarefulForm(forms.Form):
    """Refuses once what somebody else changed as well, and shows theirs beside the person's own.

    What the person left as it was is taken out of the cleaned data: nothing of theirs is to be written, and
    what somebody else made of it stays. Sent again, the form is meant as it is. A form without `seen` (a
    program's) expects nothing, and all of it is meant.
    """

    WATCHED: ClassVar[tuple[str, ...] | None] = None  # None: every field
    MEANT: ClassVar[tuple[str, ...]] = ()  # what the form is about: meant also where it was left as it was
    SHOWS_BOTH: ClassVar[bool] = True  # long texts stand side by side; else a sentence quotes them
    seen = SeenField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conflicts: list[str] = []
        self.untouched: list[str] = []
        self.both: dict[str, Beside] = {}

    def watched(self) -> list[str]:
        return [name for name in self.fields if name in (self.WATCHED or self.fields) and name != "seen"]

    def get_initial_for_field(self, field: forms.Field, field_name: str) -> Any:
        if field_name == "seen":  # asked for late: a form may make more fields of its own
            return self.initial.get("seen") or marks_of(self.now_is())
        value = super().get_initial_for_field(field, field_name)
        if isinstance(value, dt.datetime) and field.widget.attrs.get("step") == "60":
            return value.replace(second=0, microsecond=0)  # as a browser gives it back
        return value

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
        choices = _flat(getattr(self.fields[name], "choices", ()))
        values = value if isinstance(value, list | tuple | set) else [value]
        plain = [str(each.pk) if isinstance(each, models.Model) else str(each) for each in values]
        words = ", ".join(choices.get(each, each) for each in plain if each not in ("", "None"))
        return words[:300] or "nothing"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        seen = read_marks(data.pop("seen", "") or "")
        if not seen:
            return data
        now = self.look_again()
        for name, value in now.items():
            if name not in seen or name not in data:
                continue
            mine, theirs = mark(data[name]), mark(value)
            if mine == seen[name] and name not in self.MEANT:
                self.untouched.append(name)
            elif theirs not in (seen[name], mine):
                self.conflicts.append(name)
        for name in self.conflicts:
            self._say(name, data[name], now[name])
        for name in self.untouched:
            del data[name]
        if self.conflicts:
            self.data = self.seen_now(now)
        return data

    def _say(self, name: str, mine: Any, theirs: Any) -> None:
        who = self.who_changed(name)
        texts = (
            isinstance(mine, str)
            and isinstance(theirs or "", str)
            and not hasattr(self.fields[name], "choices")
        )
        if self.SHOWS_BOTH and texts and max(len(mine), len(theirs or "")) > SHORT:
            self.both[name] = Beside(who, *side_by_side(theirs or "", mine))
            said = f"Meanwhile {who} changed this. Both stand here; yours is kept: send it to replace theirs."
        else:
            said = (
                f"Meanwhile {who} changed this to “{self.shown(name, theirs)}”."
                " Yours is kept here; send it to replace theirs."
            )
        self.add_error(name, said)

    def seen_now(self, now: Mapping[str, Any]) -> QueryDict:
        """What is shown again: the person's own words, elsewhere what it is now; sent again, it is meant."""
        shown = QueryDict(mutable=True)
        shown.update(self.data)
        for name in self.untouched:
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
        if isinstance(prepared, dt.datetime):
            return self.fields[name].widget.format_value(prepared)
        return getattr(prepared, "pk", prepared)


def _flat(choices: Any) -> dict[str, str]:
    """Values and their words, of groups too."""
    found: dict[str, str] = {}
    for key, text in choices or ():
        found.update(_flat(text) if isinstance(text, list | tuple) else {str(key): str(text)})
    return found


class CarefulModelForm(CarefulForm):
    """The same for a form of a row in the admin: mixed into the table's own form, before it."""

    SHOWS_BOTH = False
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


class WholeForm(forms.Form):
    """About a thing as a whole, as the person saw it: refused once where it is another by now.

    `now_is` is a short text of how it is now, such as its version; `said` tells the person what has become
    of it. What is shown with the refusal is how it is now: sent again, it is meant. Sent without `seen`, it
    expects nothing.
    """

    seen = SeenField()

    def __init__(self, *args: Any, now_is: str, said: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now_is, self._said = now_is, said
        self.conflicts: list[str] = []
        self.initial.setdefault("seen", now_is)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        sent = self.add_prefix("seen") in self.data
        if data.pop("seen", "") != self.now_is and sent:
            self.conflicts.append("")
            self.add_error(None, self._said)
            shown = QueryDict(mutable=True)
            shown.update(self.data)
            shown[self.add_prefix("seen")] = self.now_is
            self.data = shown
        return data
