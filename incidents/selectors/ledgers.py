"""The ledgers of several services at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from incidents.models import Release, Service
from incidents.states import ReleaseState

# By hand, because a window over the whole ledger costs Django more to write down than the database to answer.
_NEWEST = """
SELECT release.* FROM unnest(%(services)s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
       SELECT * FROM incidents_release WHERE service_id = wanted.id
        ORDER BY deployed_at DESC, id DESC LIMIT %(each)s) release
 UNION
SELECT * FROM incidents_release WHERE service_id = ANY(%(services)s) AND state = %(live)s
 ORDER BY deployed_at DESC, id DESC
"""


def newest_releases(services: Sequence[Service], *, each: int) -> dict[int, list[Release]]:
    """The newest releases of each service and its live one, the newest first, by its id (one query)."""
    asked = {"services": [service.pk for service in services], "each": each, "live": ReleaseState.LIVE.value}
    found: dict[int, list[Release]] = defaultdict(list)
    for release in Release.objects.raw(_NEWEST, asked):
        found[release.service_id].append(release)
    return found
