"""How much of its rate each sender has used."""

from django.db import models


class RateBudget(models.Model):
    """One sender's requests of a kind in this minute and the one before.

    The table is UNLOGGED: counting costs no write-ahead log, and a crash of the database merely
    starts the counting anew.
    """

    key = models.CharField(primary_key=True, max_length=120)
    minute = models.BigIntegerField()  # since the epoch, by the database's clock
    taken = models.IntegerField()
    before = models.IntegerField()  # taken in the minute before
    granted = models.IntegerField()  # by the latest statement

    def __str__(self) -> str:
        return f"{self.key}: {self.taken}"
