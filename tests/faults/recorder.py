"""What moved and when, noted by the database itself: the rows say only how it ended."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.db import connection

from tests.conftest import run_as_owner

INSTALL = """
CREATE TABLE faults_moves (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid bigint NOT NULL DEFAULT txid_current(), thing text NOT NULL, was jsonb, became jsonb NOT NULL);
CREATE FUNCTION faults_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO faults_moves (thing, was, became) VALUES (TG_TABLE_NAME, to_jsonb(OLD), to_jsonb(NEW));
    RETURN NULL;
END $$;
CREATE TRIGGER faults_note AFTER INSERT OR UPDATE OF state, version, fence ON rollbacks_rollback
    FOR EACH ROW EXECUTE FUNCTION faults_note();
CREATE TRIGGER faults_note AFTER INSERT OR UPDATE OF state, attempt ON rollbacks_rollbackstep
    FOR EACH ROW EXECUTE FUNCTION faults_note();
CREATE TRIGGER faults_note AFTER UPDATE OF next_check_due_at ON incidents_monitor
    FOR EACH ROW WHEN (NEW.next_check_due_at > OLD.next_check_due_at) EXECUTE FUNCTION faults_note();
CREATE TRIGGER faults_note AFTER INSERT ON core_event FOR EACH ROW EXECUTE FUNCTION faults_note();
GRANT SELECT ON faults_moves TO PUBLIC;
"""
REMOVE = "DROP FUNCTION faults_note CASCADE; DROP TABLE faults_moves"
ROLLBACK, STEP, EVENT = "rollbacks_rollback", "rollbacks_rollbackstep", "core_event"
CLAIM = "incidents_monitor"  # a check that was taken: the next one is due at another time


@dataclass(frozen=True)
class Move:
    """One row before (None when it was made) and after; `xid` tells what was one transaction."""

    at: dt.datetime
    xid: int
    thing: str
    was: dict[str, Any] | None
    became: dict[str, Any]

    def changed(self, name: str) -> bool:
        return self.was is None or self.was[name] != self.became[name]


def install() -> None:
    run_as_owner(lambda: _execute(INSTALL))


def remove() -> None:
    run_as_owner(lambda: _execute(REMOVE))


def moves(thing: str) -> list[Move]:
    """In the order in which they happened."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT at, xid, thing, was::text, became::text FROM faults_moves WHERE thing = %s ORDER BY id",
            [thing],
        )
        rows = cursor.fetchall()
    return [Move(at, xid, what, _json(was), _json(became) or {}) for at, xid, what, was, became in rows]


def _json(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
