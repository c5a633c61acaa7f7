"""A playbook of the test's own, and a folder of its own for what rollbacks leave on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rollbacks.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture(autouse=True)
def own_folders(settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are told apart by their environment: one test's must not look like another's."""
    settings.VAR_DIR = tmp_path / "var"  # type: ignore[attr-defined]
    monkeypatch.setenv("HOME", str(tmp_path))
