"""The version before works on today's schema, while it is migrated and after; this one waits for it calmly."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.db import connection

from core.backup import tools
from tests.flows.stack import wait_for
from tests.upgrade.conftest import DATABASE
from tests.upgrade.versions import Load, Version

SWEEP = "from core.sweeps import run_sweep; from core.models import Heartbeat; print(run_sweep('core.sweep_outbox'), Heartbeat.objects.count())"


@pytest.mark.faults
def test_an_upgrade_while_the_version_before_serves(versions: tuple[Version, Version]) -> None:
    old, new = versions
    old.manage("migrate", "-v", "0")
    old.manage("first_administrator")
    words = [word for scope in ("read", "write") for word in ("--scope", scope)]
    old.token = new.token = old.manage(
        "token", "create", "--user", "admin", "--name", "upgrade", *words
    ).strip()
    old.start_web()
    first = old.json("POST", "/api/v1/services/", {"slug": "shop", "name": "Shop"})

    # This code on the schema before: a calm refusal, no error, no sweep.
    new.start_web()
    for path in ("/", "/accounts/login/", "/api/v1/incidents/", "/api/v1/schema/"):
        status, text, retry_after = new.ask("GET", path)
        assert (status, retry_after) == (503, "5"), path
        assert "upgrad" in text
    refused = json.loads(new.ask("POST", "/api/v1/incidents/", {"title": "x", "severity": "P0"})[1])
    assert (refused["status"], refused["type"]) == (503, "/problems/upgrading")
    assert new.manage("shell", "-v", "0", "-c", SWEEP).split() == ["0", "0"]
    assert "Traceback" not in new.log.read_text()

    # The migration runs while the version before serves, and while somebody holds a table that it needs.
    with Load(old) as load:
        wait_for(lambda: len(load.statuses) > 20, "requests", 60)
        with tools.connect(DATABASE) as holder:
            holder.execute("LOCK TABLE incidents_monitor IN ROW EXCLUSIVE MODE")  # a slow transaction
            migrating = subprocess.Popen(
                [sys.executable, "manage.py", "migrate", "-v", "0"],
                env=new.environment | {"MIGRATE_LOCK_TIMEOUT_SECONDS": "0.5"},
                cwd=new.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert migrating.stderr is not None
            said = migrating.stderr.readline()
            assert "trying again" in said, said + migrating.communicate(timeout=120)[1]
        _out, said = migrating.communicate(timeout=120)
        assert migrating.returncode == 0, said
        during = len(load.statuses)
        wait_for(lambda: len(load.statuses) > during + 40, "requests on the new schema", 60)
    assert load.busy <= 3
    assert not load.failed(), f"{load.failed()[:5]} of {len(load.statuses)}\n{old.log.read_text()[-2000:]}"

    # What the version before wrote during and after is all there, for both, with its history.
    declared = load.count("declare", 201)
    assert declared > 10
    wait_for(lambda: new.ask("GET", "/accounts/login/")[0] == 200, "this version's first page", 30)
    with tools.connect(DATABASE) as session:
        row = session.execute(
            "SELECT count(*) FROM incidents_incident WHERE title LIKE 'Under load%'"
        ).fetchone()
        assert row == (declared,)
        kept = dict(
            session.execute(
                "SELECT slug, pgh_label FROM incidents_servicechange ORDER BY pgh_id DESC"
            ).fetchall()
        )
    assert kept["shop"] == "known"
    last = max((slug for slug in kept if slug.startswith("load-")), key=lambda slug: int(slug[5:]))
    assert kept[last] == "created", "a service that the version before made on the new schema"
    assert new.json("GET", "/api/v1/incidents/?page_size=1")["results"][0]["title"].startswith("Under load")
    assert new.json("GET", f"/api/v1/services/{first['slug']}/")["name"] == "Shop"
    assert new.json("POST", "/api/v1/incidents/", {"title": "By the new", "severity": "P3"})
    assert old.json("GET", "/api/v1/incidents/?page_size=1")["results"][0]["title"] == "By the new"
    assert "intact" in new.manage("verify_timeline")
    assert new.manage("shell", "-v", "0", "-c", SWEEP).split()[1] != "0"


@pytest.mark.faults
def test_two_migrations_at_once_and_a_killed_one_do_no_harm(versions: tuple[Version, Version]) -> None:
    _old, new = versions
    argv = [sys.executable, "manage.py", "migrate", "-v", "0"]
    started = [
        subprocess.Popen(argv, env=new.environment, cwd=new.root, stderr=subprocess.PIPE) for _ in range(3)
    ]
    wait_for(lambda: applied() > 20, "some migrations", 60)
    started[0].kill()
    for process in started[1:]:
        _out, said = process.communicate(timeout=180)
        assert process.returncode == 0, said.decode()
    started[0].communicate()
    assert "0 unapplied" in new.manage(
        "shell", "-v", "0", "-c",
        "from core.schema import missing_migrations; print(len(missing_migrations()), 'unapplied')",
    )  # fmt: skip


def applied() -> int:
    with tools.connect(DATABASE) as session:
        exists = session.execute("SELECT to_regclass('django_migrations') IS NOT NULL").fetchone()
        if not exists or not exists[0]:
            return 0
        row = session.execute("SELECT count(*) FROM django_migrations").fetchone()
        return int(row[0]) if row else 0


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_cut_off_is_made_again() -> None:
    from tests.processes import manage

    with tools.connect(str(connection.settings_dict["NAME"]), autocommit=True) as owner:
        owner.execute("CREATE INDEX cut_off ON core_heartbeat (host)")
    try:
        mark_invalid("cut_off")
        assert manage("migrate", "-v", "0").returncode == 0
        with tools.connect(str(connection.settings_dict["NAME"])) as owner:
            assert owner.execute("SELECT to_regclass('cut_off')").fetchone() == (None,)
    finally:
        with tools.connect(str(connection.settings_dict["NAME"]), autocommit=True) as owner:
            owner.execute("DROP INDEX IF EXISTS cut_off")


def mark_invalid(index: str) -> None:
    """As a killed CREATE INDEX CONCURRENTLY leaves it; only the superuser may write the catalogue."""
    import psycopg

    where = connection.get_connection_params()
    with psycopg.connect(
        host=where["host"], user="postgres", dbname=where["dbname"], autocommit=True
    ) as root:
        root.execute("UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = %s::regclass", [index])
