"""Fields of request bodies that take JSON's own types only, and only what the database can hold."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, ClassVar

from rest_framework import serializers

from core.texts import is_blank, tidy, what_is_wrong

TEXT_LENGTH = 20_000
YEARS = range(2000, 2101)


class Text(serializers.CharField):
    """A JSON string, trimmed; at most 20,000 characters unless said otherwise. See core.texts."""

    one_line: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"max_length": TEXT_LENGTH} | options))

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text = tidy(super().to_internal_value(data), one_line=self.one_line)
        if is_blank(text):
            if not self.allow_blank:
                self.fail("blank")
            return ""
        if wrong := what_is_wrong(text, one_line=self.one_line):
            raise serializers.ValidationError(wrong, code="unwanted_character")
        return text


class Line(Text):
    """A JSON string of one line; line breaks become spaces."""

    one_line = True


class WholeNumber(serializers.IntegerField):
    """A JSON number without a fraction; give `min_value` and `max_value`."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class Number(serializers.FloatField):
    """A finite JSON number."""

    def to_internal_value(self, data: Any) -> float:
        if not isinstance(data, int | float) or isinstance(data, bool):
            self.fail("invalid")
        try:
            value = float(data)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class Flag(serializers.BooleanField):
    """JSON true or false, never a word or a number."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Choice(serializers.ChoiceField):
    """One of the given JSON strings."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", input=str(data)[:100])
        return data


class Moment(serializers.DateTimeField):
    """An RFC 3339 time with its offset, from the year 2000 to 2100."""

    default_error_messages = {
        "offset": "Give the time with its offset, such as 2026-11-23T10:00:00Z.",
        "year": f"The year must lie between {YEARS[0]} and {YEARS[-1]}.",
    }

    def to_internal_value(self, value: Any) -> dt.datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ssZ")
        return super().to_internal_value(value)

    def enforce_timezone(self, value: dt.datetime) -> dt.datetime:
        if value.tzinfo is None:
            self.fail("offset")
        if value.year not in YEARS:
            self.fail("year")
        return value.astimezone(dt.UTC)


class Day(serializers.DateField):
    """A day of the calendar, `2026-11-23`, from the year 2000 to 2099."""

    default_error_messages = {"year": f"The year must lie between {YEARS[0]} and {YEARS[-2]}."}

    def to_internal_value(self, value: Any) -> dt.date:
        if not isinstance(value, str) or len(value) != 10:
            self.fail("invalid", format="YYYY-MM-DD")
        day: dt.date = super().to_internal_value(value)
        if day.year not in YEARS[:-1]:
            self.fail("year")
        return day


def moment_text(at: dt.datetime | None) -> str | None:
    """An aware UTC time as the framework's DateTimeField writes it, at a tenth of its cost."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")
