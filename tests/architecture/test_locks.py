"""The two locks agree, so that `make run` and `make test` do not undo each other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_development_lock_only_adds() -> None:
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert len(runtime) > 50
    assert {name: development.get(name) for name in runtime} == runtime
