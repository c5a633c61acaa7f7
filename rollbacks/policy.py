"""Reading this app's part of the playbook for one decision."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, cast

from core.errors import FirebreakError, Invalid
from core.playbook import get_playbook
from incidents import policy as incident_policy
from incidents.states import audience_label
from rollbacks.drill_playbook import Drills, Scenario
from rollbacks.facts import PLACEHOLDER, ActingStep, Command
from rollbacks.playbook import (
    OF_THE_TARGET,
    AnyStep,
    Automation,
    Commands,
    Procedure,
    commands_of,
    procedure_digest,
)
from rollbacks.rules.admission import Limits
from rollbacks.states import DrillAction, Phase


class ProcedureChanged(FirebreakError):
    """This worker's playbook is not the one the rollback was requested with."""

    code = "procedure_changed"
    status = 409


def automation() -> Automation:
    return cast(Automation, get_playbook()["automation"])


def limits() -> Limits:
    """How far automation may go by itself."""
    said = automation()
    return Limits(
        recent_release=said.recent_release,
        cooldown=said.cooldown,
        per_day=said.per_day,
        share_of_services=said.share_of_services,
        starts_in_ten_minutes=said.starts_in_ten_minutes,
        false_positives=said.false_positives.allowed,
        false_positives_within=said.false_positives.within,
    )


def told_about(event: str) -> str:
    """Whom the playbook's routing tells about events of a kind, in words."""
    routes = [route for route in get_playbook()["routing"].routes if route.event == event]
    audiences = dict.fromkeys(audience for route in routes for audience in route.audiences)
    return ", ".join(map(audience_label, audiences)) or "nobody"


def procedure(key: str) -> Procedure:
    """Raises Invalid naming the field `procedure`."""
    found = get_playbook()["procedures"].get(key)
    if found is None:
        raise Invalid({"procedure": f"The playbook has no procedure {key}."})
    return cast(Procedure, found)


def drills() -> Drills:
    return cast(Drills, get_playbook()["drills"])


def scenarios() -> Mapping[str, Scenario]:
    """All of them by key, in the order of the keys."""
    return cast(Mapping[str, Scenario], get_playbook()["scenarios"])


def drill_plan(key: str) -> dict[str, Any]:
    """A scenario with its targets as a drill keeps it: plain JSON, times in whole seconds.

    Raises Invalid naming the field `scenario`.
    """
    scenario = scenarios().get(key)
    if scenario is None:
        raise Invalid({"scenario": f"The playbook has no scenario {key}."})
    response = incident_policy.response_target_seconds(scenario.severity, scenario.security_level)
    usual = {DrillAction.ACKNOWLEDGED: response, **drills().targets}
    targets = {**usual, **scenario.targets}
    return {
        "name": scenario.name,
        "invitation": scenario.invitation,
        "practises": scenario.practises,
        "title": scenario.title,
        "description": scenario.description,
        "severity": scenario.severity.value,
        "kind": scenario.kind.value,
        "security_level": scenario.security_level,
        "procedure": scenario.procedure or "",
        "injects": [
            {"at_seconds": round(one.at), "text": one.text, "look": one.look.value}
            for one in scenario.injects
        ],
        "targets": {
            action.value: round(targets[action]) for action in DrillAction if action in scenario.expects
        },
        "longest_seconds": round(scenario.longest or drills().longest),
        "answer_within_seconds": round(drills().answer_within),
        "debrief": list(scenario.debrief),
    }


def procedure_name(key: str) -> str:
    """For people; the key itself once the playbook has it no more."""
    found = get_playbook()["procedures"].get(key)
    return cast(Procedure, found).name if found else key


def digest(key: str) -> str:
    return procedure_digest(get_playbook(), key)


def digests() -> dict[str, str]:
    """The digest of each procedure of this process's playbook."""
    return {key: digest(key) for key in get_playbook()["procedures"]}


def commands() -> Mapping[str, Command]:
    return cast(Commands, get_playbook()["commands"]).root


def steps_of(key: str) -> list[tuple[Phase, AnyStep]]:
    return list(procedure(key).steps())


def needs_of_target(key: str) -> frozenset[str]:
    """Those of `commit` and `artifact` of the target that the procedure's commands are given."""
    declared, known = procedure(key), commands()
    words = [word for name in commands_of(declared) for word in known[name].argv]
    for _phase, step in declared.steps():
        if isinstance(step, ActingStep):
            words += step.work(known).words
    return OF_THE_TARGET & {name for word in words for name in PLACEHOLDER.findall(word)}


def plan_digest(
    *, procedure_digest: str, service: str, target_version: str, parameters: Mapping[str, str]
) -> str:
    """What an approval is bound to."""
    body = [procedure_digest, service, target_version, dict(sorted(parameters.items()))]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()


def checked_parameters(key: str, given: Mapping[str, str]) -> dict[str, str]:
    """The procedure's parameters with defaults; raises Invalid naming each wrong one."""
    declared = procedure(key).parameters
    wrong = {
        f"parameters/{name}": "The procedure has no such parameter." for name in given if name not in declared
    }
    values = {}
    for name, parameter in declared.items():
        value = given.get(name, parameter.default)
        if value is None:
            wrong[f"parameters/{name}"] = "This parameter is required."
        elif (
            not isinstance(value, str)
            or not is_safe_word(value)
            or not re.fullmatch(parameter.pattern, value)
        ):
            wrong[f"parameters/{name}"] = f"Must match {parameter.pattern} and not begin with a hyphen."
        else:
            values[name] = value
    if wrong:
        raise Invalid(wrong)
    return values


def is_safe_word(value: str) -> bool:
    """Fit to be one word of an argv: no leading hyphen, no control characters."""
    return bool(value) and not value.startswith("-") and value.isprintable() and len(value) <= 500
