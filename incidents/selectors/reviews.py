"""Reviews as their pages and the API read them; who may not see an incident reads its code name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse

from core.actors import Actor
from core.errors import NotFound
from core.events import rfc3339
from core.models import Event
from incidents import policy
from incidents.facts import AgendaFigure, AgendaLine, AgendaSection
from incidents.models import Incident, Review
from incidents.models.reviews import ReviewQuerySet
from incidents.rules.reviews import next_slot
from incidents.states import Cadence, ReviewState, audience_label
from incidents.values import duration_text


@dataclass(frozen=True)
class Upcoming:
    """The next review of a kind by the calendar."""

    kind: str
    name: str
    purpose: str
    cadence: Cadence
    period: str
    opens_at: dt.datetime
    asked: tuple[str, ...]

    @property
    def cadence_label(self) -> str:
        return str(self.cadence.label)

    @property
    def asked_label(self) -> str:
        return ", ".join(map(audience_label, self.asked))


@dataclass(frozen=True)
class Bar:
    """A figure in words, with the lengths (0 to 100) of its bar and that of the period before."""

    name: str
    value: str
    before: str
    value_width: int
    before_width: int


@dataclass(frozen=True)
class Section(AgendaSection):
    """A section of a stored agenda; notes name it by its key."""

    key: str = ""


@dataclass(frozen=True)
class SectionView:
    """A section as its page shows it; `more` is how many lines there were besides."""

    key: str
    title: str
    count: int
    lines: tuple[AgendaLine, ...]
    bars: tuple[Bar, ...]
    note: str
    more: int


@dataclass(frozen=True)
class ReviewLine:
    """A review in a list; `state_label` says `Overdue` where that is so."""

    pk: int
    name: str
    period: str
    state: str
    state_label: str
    tone: str
    begins_at: dt.datetime
    ends_at: dt.datetime
    due_at: dt.datetime
    opened_by: str
    held_at: dt.datetime | None
    held_by: str
    signed_off_at: dt.datetime | None
    signed_off_by: str
    url: str


@dataclass(frozen=True)
class ReviewsPage:
    """Open ones, the longest due first, and one page of the rest; `before` is where the next page begins."""

    open: tuple[ReviewLine, ...]
    past: tuple[ReviewLine, ...]
    before: int | None
    is_older: bool


PAGE = 30
MOST_OPEN = 100
_TONES = {"open": "info", "held": "warning", "signed_off": "ok", "missed": "neutral", "overdue": "overdue"}


def reviews_page(actor: Actor, *, now: dt.datetime, before: str) -> ReviewsPage:
    """Two queries. `before` is the number of a review, or empty for the newest."""
    todo = list_reviews(actor).filter(state__in=[ReviewState.OPEN, ReviewState.HELD])
    rest = list_reviews(actor).filter(state__in=[ReviewState.SIGNED_OFF, ReviewState.MISSED])
    is_older = before.isascii() and before.isdecimal() and len(before) < 19
    if is_older:
        rest = rest.filter(pk__lt=int(before))
    found = list(rest.order_by("-pk")[: PAGE + 1])
    return ReviewsPage(
        tuple(review_line(row, now) for row in todo.order_by("due_at", "pk")[:MOST_OPEN]),
        tuple(review_line(row, now) for row in found[:PAGE]),
        found[PAGE - 1].pk if len(found) > PAGE else None,
        is_older,
    )


def review_line(row: Review, now: dt.datetime) -> ReviewLine:
    late = row.state == ReviewState.OPEN and row.due_at <= now
    state = "overdue" if late else row.state
    return ReviewLine(
        pk=row.pk,
        name=row.name,
        period=row.period,
        state=state,
        state_label="Overdue" if late else str(ReviewState(row.state).label),
        tone=_TONES[state],
        begins_at=row.begins_at,
        ends_at=row.ends_at,
        due_at=row.due_at,
        opened_by=row.opened_by,
        held_at=row.held_at,
        held_by=row.held_by,
        signed_off_at=row.signed_off_at,
        signed_off_by=row.signed_off_by,
        url=reverse("incidents:review", args=[row.pk]),
    )


def sections_for(actor: Actor, review: Review) -> tuple[SectionView, ...]:
    """The agenda as its page shows it: with figures drawn and what was said (one query at most)."""
    return tuple(
        SectionView(
            section.key,
            section.title,
            section.count,
            section.lines,
            bars(section.figures),
            str(review.notes.get(section.key, "")),
            section.count - len(section.lines),
        )
        for section in agenda_for(actor, review)
    )


def list_reviews(actor: Actor) -> ReviewQuerySet:
    """Those that the actor may see, newest first, without their agenda."""
    return Review.objects.visible_to(actor).defer("agenda").select_related("incident")


def upcoming_reviews(*, now: dt.datetime) -> tuple[Upcoming, ...]:
    """The next one of each kind, the soonest first (no query)."""
    found = []
    for key, kind in policy.reviews().reviews.items():
        slot = next_slot(policy.review_calendar(kind), now)
        about = (key, kind.name, kind.purpose, kind.cadence)
        found.append(Upcoming(*about, slot.period, slot.opens_at, tuple(kind.asked)))
    return tuple(sorted(found, key=lambda one: one.opens_at))


def get_review(actor: Actor, review_id: int) -> Review:
    """With its attendees (two queries). Raises NotFound, also where the actor may not see it."""
    rows = Review.objects.visible_to(actor).select_related("incident").prefetch_related("attendees")
    found = rows.filter(pk=review_id).first()
    if found is None:
        raise NotFound("There is no such review.")
    return found


def agenda_for(actor: Actor, review: Review) -> tuple[Section, ...]:
    """The agenda as the actor may read it: a line of an incident that they may not see says its code name and
    nothing else (one query where the agenda tells of incidents).
    """
    sections = read_agenda(review.agenda)
    named = {line.incident for section in sections for line in section.lines} - {""}
    if not named:
        return sections
    rows = Incident.objects.filter(ref__in=named)
    seen = set(rows.visible_to(actor).values_list("ref", flat=True))
    return tuple(
        replace(section, lines=tuple(_told(line, seen) for line in section.lines)) for section in sections
    )


def read_agenda(stored: Iterable[Mapping[str, Any]]) -> tuple[Section, ...]:
    """What `incidents.services.reviews.store_agenda` wrote."""
    return tuple(
        Section(
            title=one["title"],
            lines=tuple(AgendaLine(**line) for line in one["lines"]),
            figures=tuple(AgendaFigure(**figure) for figure in one["figures"]),
            count=one["count"],
            key=one["key"],
        )
        for one in stored
    )


def _told(line: AgendaLine, seen: set[str]) -> AgendaLine:
    if not line.incident or line.incident in seen:
        return line
    return AgendaLine(Incident(ref=line.incident).code_name, detail="restricted")


def bars(figures: Iterable[AgendaFigure]) -> tuple[Bar, ...]:
    """Each figure beside that of the period before, drawn to the larger of the two."""
    return tuple(_bar(figure) for figure in figures)


def _bar(figure: AgendaFigure) -> Bar:
    value, before = figure.value, figure.before
    top = 1 if figure.unit == "ratio" else max(value or 0, before or 0) or 1
    return Bar(
        name=figure.name,
        value=figure_text(value, figure.unit),
        before=figure_text(before, figure.unit),
        value_width=round(100 * (value or 0) / top),
        before_width=round(100 * (before or 0) / top),
    )


def figure_text(value: float | None, unit: str) -> str:
    """`3`, `75 %`, `12 min`; `none` where there was nothing to count."""
    if value is None:
        return "none"
    match unit:
        case "seconds":
            return duration_text(value)
        case "ratio":
            return f"{value * 100:.0f} %"
    return f"{value:.0f}"


def is_review_due(event: Event) -> bool:
    """Whether what the event reminds of, holding it or signing it off, is still to be done, and due when it
    said.
    """
    review = Review.objects.filter(pk=event.data["review"]).only("state", "due_at").first()
    return (
        review is not None
        and review.state in (ReviewState.OPEN, ReviewState.HELD)
        and review.state == event.data["state"]
        and rfc3339(review.due_at) == event.data["due_at"]
    )


def is_sign_off_due(event: Event) -> bool:
    """Whether the review that was held still waits to be signed off."""
    return Review.objects.filter(pk=event.data["review"], state=ReviewState.HELD).exists()
