"""Who sees the same on the pages of this app: everything that its selectors ask of a person, as one text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

from django.conf import settings
from django.db.models import Q
from django.utils.module_loading import import_string

from core.access import may
from core.actors import Actor, ActorKind
from incidents.models import Incident, Responder, RoleGrant, Task

# The pages whose panels depend on nothing of a person but what is read here.
_SHARED = re.compile(r"/|/incidents/(?:(INC-[0-9-]{1,20})/)?|/services/(?:[\w-]{1,50}/)?", re.ASCII)


def audiences_of(asked: Collection[tuple[Actor, str]]) -> list[str | None]:
    """The audience of each actor on the page of that path; None where nothing is shared with anybody.

    Of a person it holds level and second factor, the roles they may hold, their parts in the incident of the
    page and in restricted ones; of all, which open incidents are restricted. So nobody who may not see an
    incident has the audience of somebody who may. Who works on the incident of the page, has a task of it or
    is named by another app (LIVE_PERSONAL) sees what nobody else does (a constant number of queries for all).
    """
    people, refs = set(), set()
    for actor, path in asked:
        if (shared := _SHARED.fullmatch(path)) and actor.kind is ActorKind.USER and actor.user_id is not None:
            people.add(actor.user_id)
            refs.add(shared[1] or "")
    if not people:
        return [None] * len(asked)
    grants, parts = _grants(people), _parts(people, refs)
    rows = Incident.objects.filter(Q(pk__in=Incident.objects.open()) | Q(ref__in=refs), restricted=True)
    restricted = set(rows.values_list("ref", flat=True))
    personal = _personal(people, refs)
    return [_audience(actor, path, grants, parts, restricted, personal) for actor, path in asked]


def _audience(
    actor: Actor,
    path: str,
    grants: dict[int, list[str]],
    parts: dict[int, list[tuple[str, str, bool]]],
    restricted: set[str],
    personal: set[tuple[int, str]],
) -> str | None:
    shared = _SHARED.fullmatch(path)
    if shared is None or actor.kind is not ActorKind.USER or actor.user_id is None:
        return None
    ref, mine = shared[1] or "", parts[actor.user_id]
    if ref in restricted and not may(actor, "see_restricted") and not any(row[0] == ref for row in mine):
        return None
    roles = ",".join(grants[actor.user_id])
    works = ",".join(f"{at}:{role}" for at, role, secret in mine if secret or at == ref)
    alone = actor.user_id if works or (actor.user_id, ref) in personal else ""
    return (
        f"{actor.level.value}{actor.second_factor:d}|{alone}|{roles}|{works}|{','.join(sorted(restricted))}"
    )


def _personal(people: set[int], refs: set[str]) -> set[tuple[int, str]]:
    """Person and incident where the page says something to that person alone."""
    owners = Task.objects.filter(incident__ref__in=refs, owner__in=people)
    found = set(owners.values_list("owner", "incident__ref"))
    for named in settings.LIVE_PERSONAL:
        found |= import_string(named)(people, refs)
    return found


def _grants(people: set[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for user, role in RoleGrant.objects.filter(user__in=people).order_by("role").values_list("user", "role"):
        found[user].append(role)
    return found


def _parts(people: set[int], refs: set[str]) -> dict[int, list[tuple[str, str, bool]]]:
    """Of each person: reference and role in the incidents that matter, and whether it is restricted."""
    found: dict[int, list[tuple[str, str, bool]]] = defaultdict(list)
    rows = Responder.objects.filter(
        Q(incident__ref__in=refs) | Q(incident__restricted=True), user__in=people, until__isnull=True
    ).order_by("incident", "role")
    for row in rows.values_list("user", "incident__ref", "role", "incident__restricted"):
        found[row[0]].append((row[1], row[2], row[3]))
    return found
