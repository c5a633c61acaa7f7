"""Page fragments: the shape that other apps fill, and gathering what wiring names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from core.actors import Actor
from core.errors import NotFound
from core.live import spoken_all
from incidents.models import Incident, Service
from incidents.selectors.actions import Action
from incidents.selectors.cards import incident_url
from incidents.selectors.similar import similar_incidents

SLOTS = ("left", "centre", "right", "later")


@dataclass(frozen=True)
class Panel:
    """A fragment of another app on a page of this one.

    `key` is the name of the function that makes it, `url` the page it stands on: `<url>?panel=<key>`
    renders it again when one of `topics` (space-separated) is poked.
    """

    key: str
    template: str
    topics: str
    url: str
    context: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "topics", spoken_all(self.topics))  # as they are sent


@dataclass(frozen=True)
class ServiceNote:
    """One line of another app at the head of a service's page."""

    icon: str
    text: str
    url: str = ""
    tone: str = "neutral"


Panels = Mapping[str, tuple[Panel, ...]]


def incident_panels(actor: Actor, incident: Incident) -> Panels:
    """Every panel of an incident's page, by slot; of a dear one (`later`) what stands in its place until it
    is looked at.
    """
    found: dict[str, list[Panel]] = {slot: [] for slot in SLOTS}
    for slot, path in settings.INCIDENT_PANELS:
        panel = _stand_in(path, incident) if slot == "later" else _make(path, actor, incident)
        if panel is not None:
            found[slot].append(panel)
    return {slot: tuple(panels) for slot, panels in found.items()}


def incident_panel(actor: Actor, incident: Incident, key: str) -> Panel:
    """One panel by its key; raises NotFound."""
    for _slot, path in settings.INCIDENT_PANELS:
        if path.rsplit(".", 1)[-1] == key:
            panel = _make(path, actor, incident)
            if panel is not None:
                return panel
    raise NotFound("No such panel.")


def is_incident_panel(key: str) -> bool:
    """Whether another app makes the panel of that key."""
    return any(path.rsplit(".", 1)[-1] == key for _slot, path in settings.INCIDENT_PANELS)


def now_panels(actor: Actor) -> tuple[Panel, ...]:
    """Every panel of the page Now."""
    paths: tuple[str, ...] = settings.NOW_PANELS
    functions: list[Callable[[Actor], Panel | None]] = [import_string(path) for path in paths]
    return tuple(panel for make in functions if (panel := make(actor)) is not None)


def service_panels(actor: Actor, service: Service) -> tuple[Panel, ...]:
    """Every panel of other apps on a service's page."""
    return tuple(panel for path in settings.SERVICE_PANELS if (panel := import_string(path)(actor, service)))


def service_panel(actor: Actor, service: Service, key: str) -> Panel:
    """One panel of a service's page by its key; raises NotFound."""
    for path in settings.SERVICE_PANELS:
        if path.rsplit(".", 1)[-1] == key and (panel := import_string(path)(actor, service)) is not None:
            found: Panel = panel
            return found
    raise NotFound("No such panel.")


def is_service_panel(key: str) -> bool:
    """Whether another app makes the panel of that key."""
    return any(path.rsplit(".", 1)[-1] == key for path in settings.SERVICE_PANELS)


def service_notes(actor: Actor, service: Service, *, now: dt.datetime) -> tuple[ServiceNote, ...]:
    """What the other apps say of a service."""
    functions: list[Callable[..., ServiceNote | None]] = [
        import_string(path) for path in settings.SERVICE_NOTES
    ]
    return tuple(note for make in functions if (note := make(actor, service, now=now)) is not None)


def _make(path: str, actor: Actor, incident: Incident) -> Panel | None:
    function: Callable[[Actor, Incident], Panel | None] = import_string(path)
    return function(actor, incident)


def _stand_in(path: str, incident: Incident) -> Panel:
    key = path.rsplit(".", 1)[-1]
    return Panel(key, f"incidents/panel_{key}_later.html", "", incident_url(incident.ref), {})


def added_actions(actor: Actor, incident: Incident) -> tuple[Action, ...]:
    """What the other apps add to the incident's action bar."""
    functions: list[Callable[[Actor, Incident], Action | None]] = list(
        map(import_string, settings.INCIDENT_ACTIONS)
    )
    return tuple(action for make in functions if (action := make(actor, incident)) is not None)


def added_calls(actor: Actor, incident: Incident) -> dict[str, Action]:
    """What the other apps offer to do about a role that nobody holds, by role."""
    found: dict[str, Action] = {}
    for path in settings.INCIDENT_CALLS:
        found.update(import_string(path)(actor, incident))
    return found


def added_links(incident: Incident) -> dict[str, str]:
    """The addresses of references that the incident's events may name."""
    found: dict[str, str] = {}
    for path in settings.INCIDENT_LINKS:
        found.update(import_string(path)(incident))
    return found


def similar(actor: Actor, incident: Incident) -> Panel:
    """Incidents of the past that are like this one.

    A panel is rendered once for all who see the same, and which restricted incidents of the past somebody
    may see is no part of that (incidents.selectors.audiences): here stand only those that are not. The API
    answers each for themselves.
    """
    return Panel(
        key="similar",
        template="incidents/panel_similar.html",
        topics="",
        url=incident_url(incident.ref),
        context={"incidents": similar_incidents(actor, incident, restricted=False)},
    )
