"""Which releases a rollback may go to, and why not to the others. Source: the policy, "Rollback
Preparation" and "Security Rollback Procedures"."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace

from incidents.states import ReleaseState


@dataclass(frozen=True)
class Listed:
    """A release of the ledger, as far as going to it is concerned.

    `has` names those of `commit` and `artifact` that are recorded and may stand in a command's words.
    """

    version: str
    state: ReleaseState
    deployed_at: dt.datetime
    good_at: dt.datetime | None = None
    security_baseline: bool = False
    schema_version: str = ""
    quarantined_at: dt.datetime | None = None
    quarantine_reason: str = ""
    has: frozenset[str] = frozenset()

    @property
    def is_quarantined(self) -> bool:
        return self.quarantined_at is not None or self.state is ReleaseState.QUARANTINED


@dataclass(frozen=True)
class Judged:
    """A release with the reason why it may be gone to, or why not."""

    version: str
    state: ReleaseState
    why: str


@dataclass(frozen=True)
class Targets:
    """The ledger as a rollback sees it: `candidates` with the default first, `others` newest first.

    `passed_over` would be the default, were it not quarantined.
    """

    live: str | None
    candidates: tuple[Judged, ...]
    others: tuple[Judged, ...]
    passed_over: str | None = None

    @property
    def default(self) -> str | None:
        return self.candidates[0].version if self.candidates else None

    @property
    def others_than_live(self) -> tuple[Judged, ...]:
        return tuple(judged for judged in self.others if judged.version != self.live)

    def note(self, version: str) -> str:
        """In a sentence, why this version may be gone to, or why not."""
        if self.why_not(version):
            return f"No target: {self.why_not(version)}."
        return next(judged.why for judged in self.candidates if judged.version == version)

    def why_not(self, version: str) -> str:
        """Why this version may not be gone to; empty when it may."""
        if any(judged.version == version for judged in self.candidates):
            return ""
        return next((judged.why for judged in self.others if judged.version == version), "it is not recorded")


def judge_targets(
    releases: Iterable[Listed], *, security: bool, needs: frozenset[str] = frozenset()
) -> Targets:
    """Sort a service's releases into those that a rollback may go to and the others.

    Verified good ones, the newest first; for a security incident security baselines, which a person has
    declared and which need not have been clean for long. `needs` names what the procedure's commands
    want to know of their target.
    """
    listed = sorted(releases, key=lambda release: release.deployed_at, reverse=True)
    live = next((release for release in listed if release.state is ReleaseState.LIVE), None)
    candidates, others, passed_over = [], [], None
    for release in listed:
        why_not = _why_no_candidate(release, live, security=security, needs=needs)
        if not why_not:
            candidates.append(Judged(release.version, release.state, _why(release, live, security=security)))
            continue
        others.append(Judged(release.version, release.state, why_not))
        if release.is_quarantined and not candidates and passed_over is None:
            free = _without_quarantine(release)
            if not _why_no_candidate(free, live, security=security, needs=needs):
                passed_over = release.version
    return Targets(live.version if live else None, tuple(candidates), tuple(others), passed_over)


def why_no_return(release: Listed, live: Listed, *, needs: frozenset[str] = frozenset()) -> str:
    """Why a rollback that led from `release` to `live` cannot be undone; empty when it can.

    A person asks for it and another one approves, so the release need not be good. Quarantined it
    still is no target: whoever wants to go there lifts that first, with a reason of its own.
    """
    return _why_never(release, live, needs)


def why_lacks(release: Listed, needs: frozenset[str]) -> str:
    """What the procedure's commands must be given and the ledger does not say; empty when nothing lacks."""
    missing = " and ".join(sorted(needs - release.has))
    return f"the procedure needs the {missing} of {release.version}, which is not recorded" if missing else ""


def schema_generation(schema_version: str) -> str:
    """The part that changes when older code can no longer read the data: `12` of `12.3`."""
    return schema_version.split(".", 1)[0].strip()


def _why_no_candidate(release: Listed, live: Listed | None, *, security: bool, needs: frozenset[str]) -> str:
    if release.state is ReleaseState.LIVE:
        return "it is the version being left"
    if why_never := _why_never(release, live, needs):
        return why_never
    if release.state is ReleaseState.ROLLED_BACK:
        return "it was left by a rollback and not deployed since"
    if security:
        return "" if release.security_baseline else "not a security baseline"
    if release.state is not ReleaseState.GOOD or release.good_at is None:
        return "never clean for long enough"
    return ""


def _without_quarantine(release: Listed) -> Listed:
    state = ReleaseState.GOOD if release.good_at else ReleaseState.SUPERSEDED
    was = state if release.state is ReleaseState.QUARANTINED else release.state
    return replace(release, state=was, quarantined_at=None)


def _why_never(release: Listed, live: Listed | None, needs: frozenset[str]) -> str:
    if release.is_quarantined:
        since = f" since {release.quarantined_at:%Y-%m-%d %H:%M} UTC" if release.quarantined_at else ""
        because = f" because {release.quarantine_reason}" if release.quarantine_reason else ""
        return f"quarantined{since}{because}"
    if live is not None and _schemas_differ(release, live):
        return (
            f"schema {live.schema_version} of {live.version} cannot be read by {release.version},"
            f" which has {release.schema_version}"
        )
    return why_lacks(release, needs)


def _schemas_differ(release: Listed, live: Listed) -> bool:
    known = release.schema_version and live.schema_version
    return bool(known) and schema_generation(release.schema_version) != schema_generation(live.schema_version)


def _why(release: Listed, live: Listed | None, *, security: bool) -> str:
    since = f" since {release.good_at:%Y-%m-%d %H:%M} UTC" if release.good_at else ""
    stands = "Security baseline" if security else f"Verified good{since}"
    text = f"{stands}; deployed {release.deployed_at:%Y-%m-%d %H:%M} UTC."
    if live is not None and not (release.schema_version and live.schema_version):
        unknown = live if release.schema_version else release
        text += f" The schema of {unknown.version} is not recorded: nothing says whether the data fits."
    return text
