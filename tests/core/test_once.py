"""What several parts of one answer ask is read once while it is made, and never longer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from core.once import asking_once, once
from incidents.models import Incident
from incidents.selectors.people import people_on

reads: list[tuple[int, int]] = []


@once
def read(a: int, *, b: int = 0) -> list[int]:
    reads.append((a, b))
    return [a, b]


@pytest.fixture(autouse=True)
def nothing_read() -> Iterator[None]:
    reads.clear()
    yield
    reads.clear()


def test_the_same_question_is_read_once_within_one_answer() -> None:
    with asking_once():
        assert read(1, b=2) is read(1, b=2)
        assert read(2, b=2) == [2, 2], "another question is another reading"
        assert read(1) == [1, 0]
    assert reads == [(1, 2), (2, 2), (1, 0)]


def test_nothing_is_known_outside_of_an_answer_or_in_the_next_one() -> None:
    for _again in range(2):
        with asking_once():
            read(1)
    read(1)
    read(1)
    assert len(reads) == 4


def test_an_answer_that_fails_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), asking_once():
        read(1)
        raise ZeroDivisionError
    read(1)
    assert len(reads) == 2


def test_answers_that_are_made_at_once_know_nothing_of_each_other() -> None:
    def answer() -> None:
        with asking_once():
            read(1)

    with asking_once():
        read(1)
        other = threading.Thread(target=answer)
        other.start()
        other.join()
    assert len(reads) == 2


def test_a_reading_that_failed_is_tried_again() -> None:
    @once
    def failing() -> None:
        reads.append((0, 0))
        raise ZeroDivisionError

    with asking_once():
        for _again in range(2):
            with pytest.raises(ZeroDivisionError):
                failing()
    assert len(reads) == 2


def test_a_command_sees_who_has_just_come(incident: Incident, commander: object) -> None:
    """Outside of a page that is read, each question goes to the database."""
    assert people_on(incident) is not people_on(incident)
