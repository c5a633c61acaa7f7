"""Errors that a door can show: each has a stable `code` and the HTTP status it maps to."""

from collections.abc import Mapping


class FirebreakError(Exception):
    """Something that could not be done, said in words for the person who asked.

    `code` is stable and shown by the API; `state` is the current state where that is the reason, `more` what
    else a program needs to know.
    """

    code = "error"
    status = 400
    retry_after: int | None = None  # seconds, where trying again is the right thing to do
    more: Mapping[str, str | int] = {}

    def __init__(self, message: str, *, state: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.state = state


class Invalid(FirebreakError):
    """The input is wrong: `fields` names each field with what is wrong about it."""

    code = "invalid"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in fields.items()))
        self.fields = dict(fields)


class NotAllowed(FirebreakError):
    """The actor may not do this."""

    code = "not_allowed"
    status = 403


class NotFound(FirebreakError):
    """Nothing of that name that the actor may see."""

    code = "not_found"
    status = 404


class Conflict(FirebreakError):
    """The thing is not in a state where this can be done, or somebody else was first."""

    code = "conflict"
    status = 409


class IllegalMove(Conflict):
    """A state machine has no such move; `state` is where the thing is now."""

    code = "illegal_move"
