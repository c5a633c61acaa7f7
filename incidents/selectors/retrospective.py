"""The agenda of an incident's retrospective: what its report says, in the order in which a team talks of it.

Each line names the incident, as everywhere in an agenda: who may not see it reads its code name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping

from django.urls import reverse
from django.utils.text import Truncator

from incidents.facts import AgendaLine, AgendaSection
from incidents.models import Incident, Report, Review
from incidents.rules.reports import entries
from incidents.selectors.action_items import action_item_url
from incidents.selectors.reports import drafted_texts, report_lines, report_url, texts_of
from incidents.states import ActionItemState, ReportSection

MOST_LINES = 200
LENGTH = 400  # characters of a line: the report has the rest


def retrospective_of(incident: Incident) -> Review | None:
    """Its retrospective, where one was opened (one query)."""
    return Review.objects.filter(incident=incident).defer("agenda").first()


def retrospective_agenda(incident: Incident, *, now: dt.datetime) -> dict[str, AgendaSection]:
    """The sections by key, in order (six queries)."""
    report = Report.objects.filter(incident=incident).first()
    texts = texts_of(report) if report is not None else drafted_texts(incident)
    causes = (ReportSection.PRIMARY_CAUSE, ReportSection.CONTRIBUTING_FACTORS)
    return {
        "timeline": _section("What happened", _timeline(incident, report)),
        "causes": _section("Root cause", _said(incident, texts, causes)),
        "went_well": _section("What went well", _said(incident, texts, (ReportSection.WENT_WELL,))),
        "could_be_improved": _section(
            "What could be improved", _said(incident, texts, (ReportSection.COULD_BE_IMPROVED,))
        ),
        "action_items": _section("Action items and prevention", _items(incident, now)),
        "checklists": _section("Left undone", _undone(incident, now)),
    }


def _section(title: str, found: Iterable[AgendaLine]) -> AgendaSection:
    lines = tuple(found)
    return AgendaSection(title, lines[:MOST_LINES], count=len(lines))


def _timeline(incident: Incident, report: Report | None) -> Iterator[AgendaLine]:
    for line in report_lines(incident, report):
        if line.included:
            said = " · ".join(filter(None, (line.event, line.action)))
            yield _line(incident, f"{line.at:%Y-%m-%d %H:%M} {said}", detail=line.owner)


def _said(
    incident: Incident, texts: Mapping[str, str], sections: Iterable[ReportSection]
) -> Iterator[AgendaLine]:
    for section in sections:
        url = f"{report_url(incident.ref)}#section-{section.value}"
        for entry in entries(texts.get(section, "")):
            yield _line(incident, entry, detail=str(section.label), url=url)


def _items(incident: Incident, now: dt.datetime) -> Iterator[AgendaLine]:
    rows = incident.action_items.exclude(state=ActionItemState.DROPPED).select_related("owner")
    for row in rows.order_by("pk"):
        due = f", due {row.due_on:%Y-%m-%d}" if row.due_on else ""
        state = str(ActionItemState(row.state).label).lower()
        yield _line(
            incident,
            row.title,
            detail=f"{row.owner or 'nobody'}, {state}{due}",
            url=action_item_url(row.pk),
            tone="warning" if row.is_overdue(now) else "",
        )


def _undone(incident: Incident, now: dt.datetime) -> Iterator[AgendaLine]:
    rows = incident.checklist_items.filter(ticked_at__isnull=True, due_at__lte=now)
    for row in rows.order_by("due_at", "checklist", "position"):
        yield _line(incident, row.name, detail=row.phase_name, tone="warning")


def _line(incident: Incident, text: str, *, detail: str = "", url: str = "", tone: str = "") -> AgendaLine:
    where = url or reverse("incidents:incident", args=[incident.ref])
    return AgendaLine(Truncator(text).chars(LENGTH), detail, where, incident.ref, tone)
