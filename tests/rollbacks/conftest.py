"""A playbook of the test's own, and a folder of its own for what rollbacks leave on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rollbacks.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture(autouse=True)
def _own_var_dir(settings: object, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "var"  # type: ignore[attr-defined]
