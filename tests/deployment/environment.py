"""Which variables Firebreak reads from the environment, and which deploy/firebreak.env.example explains."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from core.playbook import load
from tests.deployment.guide import ROOT

VARIABLE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=")
READERS = {
    "str",
    "int",
    "float",
    "bool",
    "list",
    "tuple",
    "dict",
    "json",
    "url",
    "path",
    "bytes",
    "db",
    "cache",
}


def read_by_the_settings() -> set[str]:
    folder = ROOT / "config" / "settings"
    found: set[str] = set()
    for path in (*folder.glob("*.py"), ROOT / "core" / "build.py"):
        found |= variables_in(path.read_text())
    return found - {"DJANGO_RUNSERVER_HIDE_WARNING"}  # Django's own, set there and not read


def variables_in(source: str) -> set[str]:
    """Names given as text to `env.str(…)` and its like, to `env(…)`, to `os.environ` and `os.getenv`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        name: ast.expr | None = None
        if isinstance(node, ast.Call) and node.args and _reads_environment(node.func):
            name = node.args[0]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            name = node.slice
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            found.add(name.value)
    return found


def _reads_environment(function: ast.expr) -> bool:
    text = ast.unparse(function)
    reader, _, verb = text.rpartition(".")
    return text in ("env", "os.environ.get", "os.getenv") or (reader == "env" and verb in READERS)


def named_by_the_playbook() -> set[str]:
    """The variables that the shipped playbook's channels take address and secret from."""
    channels = load(ROOT / "playbook")["channels"].root.values()
    return {
        value
        for channel in channels
        for name, value in channel.model_dump().items()
        if name.endswith("_variable")
    }


def documented() -> list[str]:
    lines = Path(ROOT / "deploy" / "firebreak.env.example").read_text().splitlines()
    return [match[1] for line in lines if (match := VARIABLE.match(line))]
