"""Fixtures of every test: the application's own database role, people with levels and grants, a service."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import TransactionTestCase
from django.test.utils import setup_databases, teardown_databases
from hypothesis import settings as hypothesis_settings

from core import schema
from core.actors import SYSTEM, Actor, actor_for_user
from core.clock import utcnow
from core.database_roles import grant_application_role
from core.models import User
from incidents.models import Incident, RoleGrant, Service
from incidents.services.incidents import declare_incident
from incidents.services.people import assign_role
from incidents.services.services import create_service, record_release
from tests.web import WebProcess

# Filled by migrations, so a test's end leaves them as they are.
KEPT_TABLES = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
}

MOST_DELETED = 5_000  # rows
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"

# Minutes each: begun first, so that no process is left alone with one of them at the end.
LONG = (
    "upgrade", "bench", "faults", "rollbacks", "browser", "access", "security", "docs/test_extending.py", "hostile/test_every_form.py",
    "hostile/test_schemathesis.py", "core/test_backup.py", "core/embedded", "core/accounts/test_brute_force.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(tuple(f"tests/{place}" for place in LONG)))


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest,
    django_test_environment: None,
    django_db_blocker: Any,
    django_db_modify_db_settings: None,
) -> Iterator[None]:
    """The owner makes the database; the tests are the application, with no more rights than it has."""
    database = connection.settings_dict
    app_role, owner = database["USER"], settings.DATABASES["owner"]["USER"]
    with django_db_blocker.unblock():
        database["USER"] = owner
        if "PYTEST_XDIST_WORKER" in os.environ and "TEST_DATABASE_URL" not in os.environ:
            database["TEST"]["TEMPLATE"] = _migrated_template()
        made = setup_databases(verbosity=0, interactive=False, aliases=["default"])  # type: ignore[arg-type]
        grant_application_role(connection, app_role)
        assert schema.is_current()  # asked once a process, so that no test pays for it
        connection.close()
        database["USER"] = app_role
    yield
    with django_db_blocker.unblock():
        _end_other_sessions()
        connection.close()
        database["USER"] = owner
        teardown_databases(made, verbosity=0)


def _migrated_template() -> str:
    """A database with all migrations, which one process of the run makes and all of them copy."""
    database, template = connection.settings_dict, "firebreak_template"
    name, test_name = database["NAME"], database["TEST"]["NAME"]
    with connection._nodb_cursor() as cursor:
        cursor.execute("SET lock_timeout = 0; SET statement_timeout = 0")  # the others wait for the one
        cursor.execute("SELECT pg_advisory_lock(1)")  # given back with the connection
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template])
        if cursor.fetchone() is None:
            database["TEST"]["NAME"] = template
            setup_databases(verbosity=0, interactive=False, aliases=["default"])  # type: ignore[arg-type]
            connection.close()
            database["NAME"], database["TEST"]["NAME"] = name, test_name
    return template


def _end_other_sessions() -> None:
    """Of processes that tests started: PostgreSQL may not have noticed their end yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="session")
def as_owner() -> Callable[[Callable[[], None]], None]:
    """Run something as the owner of the tables, who alone may empty the timeline."""
    return run_as_owner


def run_as_owner(work: Callable[[], None]) -> None:
    app_role = connection.settings_dict["USER"]
    connection.close()
    connection.settings_dict["USER"] = settings.DATABASES["owner"]["USER"]
    try:
        work()
    finally:
        connection.close()
        connection.settings_dict["USER"] = app_role


def empty_all_tables(_self: TransactionTestCase | None = None) -> None:
    """After a test with real commits: the application may not empty the timeline, the owner may."""

    connection.close()
    if not _empty_few_rows():
        run_as_owner(_truncate)


def _truncate() -> None:
    tables = ", ".join(t for t in connection.introspection.table_names() if t not in KEPT_TABLES)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_event DISABLE TRIGGER USER")
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        cursor.execute("ALTER TABLE core_event ENABLE TRIGGER USER")


def _empty_few_rows() -> bool:
    """Delete the few rows of few tables, which takes a twentieth of the time that truncating all takes.

    As the superuser, whom no trigger and no foreign key stops: the embedded server has one. False where
    there is none, and where there are many rows.
    """
    here = connection.settings_dict
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(
            host=here["HOST"],
            port=here["PORT"] or None,
            user="postgres",
            dbname=here["NAME"],
            autocommit=True,
        ) as link,
    ):
        tables = [name for (name,) in link.execute(_TABLES) if name not in KEPT_TABLES]
        counts = link.execute(" UNION ALL ".join(map(_count, tables)))
        filled = {name: number for name, number in counts if number}
        if sum(filled.values()) > MOST_DELETED:
            return False
        with link.transaction():
            link.execute("SET LOCAL session_replication_role = replica")
            for name in filled:
                link.execute(f"DELETE FROM {name}")
        return True
    return False


def _count(table: str) -> str:
    return f"SELECT '{table}', count(*) FROM (SELECT FROM {table} LIMIT {MOST_DELETED + 1}) few"


TransactionTestCase._fixture_teardown = empty_all_tables  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """The web process on the tests' database; only what is committed is there for it."""
    process = WebProcess(tmp_path_factory.mktemp("web"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def now() -> dt.datetime:
    return utcnow()


@functools.cache
def hashed_password() -> str:
    """Hashed once: argon2 is slow on purpose, and no test is about that."""
    return make_password("a long passphrase for tests")


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """`make_user("ida", "commander", "incident_commander")`: an account of a level with role grants."""

    def make(username: str, level: str = "responder", *roles: str) -> User:
        user = User.objects.create(username=username, password=hashed_password())
        if level:
            user.groups.add(Group.objects.get(name=level))
        RoleGrant.objects.bulk_create(RoleGrant(user=user, role=role) for role in roles)
        return user

    return make


@pytest.fixture
def make_actor(make_user: Callable[..., User]) -> Callable[..., Actor]:
    """As `make_user`, but the actor, who has just signed in."""

    def make(username: str, level: str = "responder", *roles: str) -> Actor:
        return replace(actor_for_user(make_user(username, level, *roles)), authenticated_at=utcnow())

    return make


@pytest.fixture
def commander(make_actor: Callable[..., Actor]) -> Actor:
    """Ida may be incident commander and technical lead."""
    return make_actor("ida", "commander", "incident_commander", "technical_lead")


@pytest.fixture
def shop(db: None, now: dt.datetime) -> Service:
    """A service with 2.0.0 live since an hour and 1.9.0 verified good before it."""
    return make_service("shop", now)


def make_service(slug: str, now: dt.datetime) -> Service:
    service = create_service(
        actor=SYSTEM,
        now=now,
        slug=slug,
        name=slug.title(),
        procedure="storefront_rollback",
        auto_rollback=True,
    )
    for version, age in (("1.9.0", dt.timedelta(days=2)), ("2.0.0", dt.timedelta(hours=1))):
        record_release(service_id=service.pk, version=version, actor=SYSTEM, now=now - age)
    return service


@pytest.fixture
def incident(shop: Service, commander: Actor, now: dt.datetime) -> Incident:
    """A P0 on the shop; Ida is incident commander."""
    incident = declare_incident(
        actor=commander, now=now, title="Checkout fails", severity="P0", services=["shop"]
    )
    assign_role(incident_id=incident.pk, role="incident_commander", username="ida", actor=commander, now=now)
    return incident


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> None:
    """As real, but without the work that argon2 is slow by; processes of their own hash as in production."""
    Argon2PasswordHasher.time_cost = 1
    Argon2PasswordHasher.memory_cost = 8
    Argon2PasswordHasher.parallelism = 1


@pytest.fixture(scope="session", autouse=True)
def no_rate_limits() -> None:
    """Counting requests would be a query now and then; tests of it set limits of their own."""
    settings.API_RATES = dict.fromkeys(settings.API_RATES, 0)


hypothesis_settings.register_profile("firebreak", database=None, deadline=None)
hypothesis_settings.load_profile("firebreak")
