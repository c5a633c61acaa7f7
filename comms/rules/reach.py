"""How a person is reached: by which of their ways first, and by which next. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from comms.states import Means


@dataclass(frozen=True)
class Way:
    """A channel by which persons are reached: which of their addresses it takes, and whether it is set up."""

    channel: str
    means: Means
    ready: bool


@dataclass(frozen=True)
class Person:
    """A contact as routing sees it. `order` is their own, best first; empty: the playbook's."""

    contact: int
    name: str
    addresses: Mapping[Means, str] = field(hash=False)
    order: tuple[Means, ...] = ()
    quiet_until: dt.datetime | None = None


@dataclass(frozen=True)
class Recipient:
    """Who gets a delivery over which channel; `contact` is None for a place, such as a chat room."""

    channel: str
    address: str
    contact: int | None = None
    quiet_until: dt.datetime | None = None


def ways_of(person: Person, ways: Sequence[Way], usual: Sequence[Means]) -> list[Recipient]:
    """Every way to reach somebody, best first: in their order, what is set up before what is not.

    What their order leaves out comes last: better than nobody.
    """
    order = [*person.order, *(means for means in usual if means not in person.order)]
    order += [means for means in Means if means not in order]
    found = [
        (not way.ready, order.index(way.means), way.channel, address)
        for way in ways
        if (address := person.addresses.get(way.means, ""))
    ]
    return [
        Recipient(channel, address, person.contact, person.quiet_until)
        for *_rank, channel, address in sorted(found, key=lambda one: one[:2])
    ]


def next_way(
    person: Person, ways: Sequence[Way], usual: Sequence[Means], *, tried: Collection[str]
) -> Recipient | None:
    """The best way that is not among the channels `tried`; a way that is not set up helps nobody."""
    ready = [way for way in ways if way.ready]
    return next((one for one in ways_of(person, ready, usual) if one.channel not in tried), None)
