"""What a command says reaches the page while it runs, and both ends of it stay."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from core.actors import Actor
from core.models import User
from incidents.models import Incident
from rollbacks.models import Rollback, StepOutput
from rollbacks.selectors.output import output_after
from tests.rollbacks.workshop import Workshop, ask, run

pytestmark = pytest.mark.django_db(transaction=True)


def _while_it_runs(rollback: Rollback, look: Any) -> Rollback:
    def work() -> None:
        try:
            run(rollback)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        look()
    finally:
        worker.join()
    rollback.refresh_from_db()
    return rollback


def _until(look: Any, seconds: float = 30) -> float:
    began = time.monotonic()
    while not look():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return time.monotonic() - began


def test_it_is_there_while_the_command_runs_and_can_be_read_on_from_any_byte(
    workshop: Workshop, incident: Incident, commander: Actor, client: Client
) -> None:
    workshop.command(
        "health_check",
        "for i in range(20): print('line', i, flush=True); time.sleep(0.2)\nprint('half a li', end='', flush=True); time.sleep(2)",
    )
    client.force_login(User.objects.get(username="ida"))
    with workshop.open():
        rollback = ask(incident, commander)
        address = f"/api/v1/rollbacks/{rollback.ref}/steps/1/output/"
        read = b""

        def follow() -> None:
            nonlocal read
            _until(lambda: client.get(address).content.startswith(b"line 0\nline 1"))
            assert rollback.steps.get(position=1).state == "running"
            while not read.endswith(b"half a li"):
                answer = client.get(f"{address}?after={len(read)}")
                read += answer.content
                assert int(answer["Firebreak-Next-Byte"]) == len(read)
                time.sleep(0.1)

        rollback = _while_it_runs(rollback, follow)
    assert rollback.state == "succeeded"
    assert read.decode() == "".join(f"line {i}\n" for i in range(20)) + "half a li"


@pytest.mark.faults
def test_of_a_flood_the_two_ends_stay_and_the_middle_is_counted(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.command("health_check", "for i in range(2_000_000): sys.stdout.write('%09d\\n' % i)")
    with workshop.open():
        rollback = run(ask(incident, commander))
    first = rollback.steps.get(position=1)
    assert first.state == "succeeded"
    kept = sum(len(piece.text) for piece in StepOutput.objects.filter(step=first))
    assert kept < 700_000, "a flood does not fill the database"
    said, position, steps = b"", 0, 0
    while (output := output_after(first, position)).data:
        said, position, steps = said + output.data, output.next_byte, steps + 1
    assert steps < 20
    assert said.startswith(b"000000000\n000000001\n")
    assert said.endswith(b"001999998\n001999999\n")
    assert "bytes left out" in said.decode() or "bytes are not kept" in said.decode()
    lines = [int(line) for line in said.decode().split("\n") if line.isdecimal() and len(line) == 9]
    assert lines == sorted(lines), "in order, nothing twice"
    assert lines[:25_000] == list(range(25_000)), "the first 256 KiB are whole"
    assert lines[-25_000:] == list(range(1_975_000, 2_000_000)), "the last 256 KiB are whole"


def test_a_secret_that_comes_in_two_halves_is_not_shown(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    code = "w = sys.stdout\nw.write('password='); w.flush(); time.sleep(0.3); w.write('hunter22hunter22\\n'); w.flush(); time.sleep(1)"
    workshop.command("health_check", code)
    with workshop.open():
        rollback = run(ask(incident, commander))
    said = rollback.steps.get(position=1)
    for text in (said.output_tail, output_after(said, 0).data.decode()):
        assert "hunter22" not in text
        assert "[hidden]" in text
