"""Dense numbers per prefix and UTC day, for references such as INC-2026-11-23-0001."""

from __future__ import annotations

import datetime as dt

from django.db import connection, models


class ReferenceCounter(models.Model):
    """The last number given for a prefix on a day. The row's lock makes numbers dense."""

    prefix = models.CharField(max_length=8)
    day = models.DateField()
    last = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prefix", "day"], name="one_counter_per_prefix_and_day")
        ]

    def __str__(self) -> str:
        return f"{self.prefix} {self.day}: {self.last}"


def next_reference(prefix: str, now: dt.datetime) -> str:
    """The next reference of that UTC day, such as `INC-2026-11-23-0001`.

    Must be called inside the transaction that stores it: a roll back gives the number back, so
    references have no gaps (architecture, invariant 5).
    """
    day = now.astimezone(dt.UTC).date()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_referencecounter (prefix, day, last) VALUES (%s, %s, 1)"
            " ON CONFLICT (prefix, day) DO UPDATE SET last = core_referencecounter.last + 1 RETURNING last",
            [prefix, day],
        )
        number = cursor.fetchone()[0]
    return f"{prefix}-{day:%Y-%m-%d}-{number:04d}"
