"""A playbook whose commands the test writes; whatever runs leaves a line in a ledger."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from ruamel.yaml import YAML

from core.actors import Actor
from core.clock import utcnow
from core.playbook import load, use_playbook
from incidents.models import Incident
from rollbacks.executor import run_due
from rollbacks.models import Rollback, RollbackStep
from rollbacks.services.requests import request_rollback

PROCEDURE = "storefront_rollback"


class Workshop:
    """The shipped playbook with commands of the test's own: those of steps sign `ran`, read-backs `probed`.

    Without a word of the test's every command succeeds, and the soak takes a second.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "playbook"
        self.ledger, self.probes = folder / "ledger", folder / "probes"
        shutil.copytree(settings.BASE_DIR / "playbook", self.folder)
        for other in (self.folder / "procedures").glob("*.yaml"):
            if other.stem != PROCEDURE:
                other.unlink()
        self._drop_the_other_procedures()
        names = YAML().load(self.folder / "commands.yaml")
        self.commands: dict[str, dict[str, Any]] = {}
        for name in names:
            self.command(name, "")
        self.procedure: dict[str, Any] = YAML(typ="safe").load(self._procedure_file)
        self.soak("1s")

    @property
    def _procedure_file(self) -> Path:
        return self.folder / "procedures" / f"{PROCEDURE}.yaml"

    def _drop_the_other_procedures(self) -> None:
        """The thresholds' policies name a procedure each: they all get this one; scenarios name none."""
        yaml, thresholds = YAML(), self.folder / "thresholds.yaml"
        found = yaml.load(thresholds)
        for policy in found["policies"].values():
            policy["procedure"] = PROCEDURE
        yaml.dump(found, thresholds)
        for scenario in (self.folder / "drills").glob("*.yaml"):
            found = yaml.load(scenario)
            found.pop("procedure", None)
            yaml.dump(found, scenario)

    def command(self, name: str, code: str, timeout: str = "30s", **more: Any) -> None:
        """Let the command `name` run this Python code after it has signed."""
        self.commands[name] = {"argv": self.python(name, code), "timeout": timeout, **more}

    def soak(self, duration: str, settle: str = "0s") -> None:
        self.procedure["verify"][-1] |= {"duration": duration, "settle": settle}

    def step(self, key: str, **fields: Any) -> None:
        """Change fields of the step of this key."""
        for phase in ("validate", "execute", "verify"):
            for step in self.procedure[phase]:
                if step["key"] == key:
                    step.update(fields)

    def steps(self, **phases: list[Mapping[str, Any]]) -> None:
        """Replace the steps of phases; `validate` and `verify` keep one that does nothing."""
        for phase, steps in phases.items():
            self.procedure[phase] = [{"name": str(step["key"]).capitalize(), **step} for step in steps]

    def only(self, *execute: Mapping[str, Any]) -> None:
        """A procedure of these steps, between one check before and one after."""
        self.steps(
            validate=[{"key": "before", "command": "health_check"}],
            execute=list(execute),
            verify=[{"key": "after", "command": "smoke_tests"}],
        )
        self.procedure.pop("target_check", None)

    def write(self) -> Path:
        """The playbook as files; returns its folder."""
        with (self.folder / "commands.yaml").open("w") as file:
            YAML().dump(self.commands, file)
        with self._procedure_file.open("w") as file:
            YAML().dump(self.procedure, file)
        return self.folder

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        with use_playbook(load(self.write())):
            yield

    @property
    def runs(self) -> list[tuple[str, str]]:
        """Which rollback ran which command, in order, whichever process did."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [(ref, name) for ref, name in (line.split() for line in lines)]

    @property
    def ran(self) -> list[str]:
        return [name for _ref, name in self.runs]

    @property
    def probed(self) -> list[str]:
        lines = self.probes.read_text().splitlines() if self.probes.exists() else []
        return [line.split()[1] for line in lines]

    def declared(self, key: str) -> dict[str, Any]:
        """What the procedure says about the step of this key; of two, the one that changes something."""
        phases = (self.procedure[phase] for phase in ("execute", "validate", "verify"))
        return next(step for steps in phases for step in steps if step["key"] == key)

    def python(self, name: str, code: str) -> list[str]:
        signed = self.probes if name.endswith("_back") else self.ledger
        sign = (
            f"import os, sys, time; f = os.open({str(signed)!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o666);"
            f" os.write(f, (os.environ['FIREBREAK_ROLLBACK'] + ' {name}\\n').encode()); os.close(f)"
        )
        return ["{python}", "-c", f"{sign}\n{code}", "{target_version}"]


def ask(incident: Incident, actor: Actor, **more: Any) -> Rollback:
    """Request a rollback of the shop."""
    return request_rollback(
        incident_id=incident.pk, service="shop", reason="broken", actor=actor, now=utcnow(), **more
    )


def run(rollback: Rollback, seconds: float = 60) -> Rollback:
    """Run as a worker does until nothing is due any more (what waits is looked at in between)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run_due(now=utcnow())
        rollback.refresh_from_db()
        if rollback.due_at is None:
            return rollback
        time.sleep(0.1)
    raise AssertionError(f"still {rollback.state}")


def states(rollback: Rollback) -> list[str]:
    return list(rollback.steps.order_by("position").values_list("state", flat=True))


def step(rollback: Rollback, key: str) -> RollbackStep:
    return rollback.steps.get(key=key)


PYTHON = sys.executable
