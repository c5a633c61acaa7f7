"""A restored database beside the old one: made, checked, and given the old one's name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from demo.procedures.postgres.dumps import Store, count_rows, require_space, verify
from demo.procedures.postgres.server import Target, exists, identifiers, refuse_firebreak
from demo.procedures.program import Refused

# Autovacuum gives way by itself, and only a superuser may end it: so not DROP DATABASE … WITH (FORCE).
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = ANY(%s) AND backend_type = 'client backend' AND pid <> pg_backend_pid()
   AND (pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
"""
_LOCALE_WORDS = {"c": "LIBC", "i": "ICU", "b": "BUILTIN"}


def restore(target: Target, store: Store, backup: str, ref: str) -> None:
    """Restore a backup into a new database while the old one serves; one half restored is made again."""
    target.require_not_ours()
    content = verify(target, store, backup)
    require_space(target, store)
    fresh, mark = target.fresh(ref), _mark(backup, content)
    with target.beside() as beside:
        _require_old(beside, target, ref)
        if _comment(beside, fresh) == mark:
            print(f"{backup} is restored into {fresh} already")
            return
        # It has this rollback's own name and no mark: left of an attempt that did not end.
        beside.execute(_END_SESSIONS, [[fresh]])
        beside.execute(sql.SQL("DROP DATABASE IF EXISTS {fresh}").format(**identifiers(fresh=fresh)))
        _create_like(beside, target.database, fresh)
        target.server.run(
            beside, "pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={fresh}",
            str(store.dump(backup)),
        )  # fmt: skip
        with target.server.connect(fresh) as restored:
            restored.execute("ANALYZE")
        _copy_properties(beside, target.database, fresh)
        beside.execute(
            sql.SQL("COMMENT ON DATABASE {fresh} IS {mark}").format(
                **identifiers(fresh=fresh), mark=sql.Literal(mark)
            )
        )
    print(f"{backup} is restored into {fresh}; {target.database} was not touched")


def check_integrity(
    target: Target, store: Store, backup: str, ref: str, *, checks: Sequence[str], live: bool
) -> None:
    """Rows as in the dump, every index usable, the checks of the procedure true, B-trees sound.

    `live` asks the database that serves, after the switch: rows may have been added there since.
    """
    target.require_not_ours()
    content = verify(target, store, backup)
    name = target.database if live else target.fresh(ref)
    with target.server.connect(name, autocommit=False) as connection:
        refuse_firebreak(connection)
        connection.execute("SET TRANSACTION READ ONLY")
        if not live:
            _compare_rows(content["rows"], count_rows(connection))
        broken = connection.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT (indisvalid AND indisready)"
        ).fetchone()
        if broken:
            raise Refused(f"the index {broken[0]} is not valid")
        for check in checks:
            row = connection.execute(sql.SQL(check)).fetchone()
            if row is None or row[0] is not True:
                raise Refused(f"the check {check!r} is not true")
        trees = _check_trees(connection)
        print(f"{name}: {len(content['rows'])} tables, {len(checks)} checks are true, {trees}")


def switch(target: Target, store: Store, backup: str, ref: str) -> None:
    """Give the restored database the old one's name, in one transaction; the old one is kept beside it."""
    target.require_not_ours()
    content = verify(target, store, backup)
    fresh = target.fresh(ref)
    with target.beside() as beside:
        if _is_switched(beside, target, ref):
            print(f"{target.database} is the restored one already")
            return
        _require_old(beside, target, ref)
        if _comment(beside, fresh) != _mark(backup, content):
            raise Refused(f"{backup} is not restored into {fresh}")
    _rename(target, (target.database, target.before(ref)), (fresh, target.database))
    print(f"{target.database} is the restored one; the one before is kept as {target.before(ref)}")


def undo(target: Target, ref: str) -> None:
    """Give the old database its name back; what was written to the restored one stays in it."""
    target.require_not_ours()
    with target.beside() as beside:
        if not _is_switched(beside, target, ref):
            print(f"{target.database} is the old one")
            return
    _rename(target, (target.database, target.fresh(ref)), (target.before(ref), target.database))
    print(f"{target.database} is the one before again; the restored one is kept as {target.fresh(ref)}")


def read_back(target: Target, store: Store, backup: str, ref: str, what: str) -> None:
    """Raises Refused unless the backup is `restored` beside the old database, or `switched` to."""
    mark = _mark(backup, verify(target, store, backup))
    with target.beside() as beside:
        if what == "switched":
            holds = _is_switched(beside, target, ref) and _comment(beside, target.database) == mark
        else:
            holds = mark in (_comment(beside, target.fresh(ref)), _comment(beside, target.database))
    if not holds:
        raise Refused(f"{backup} is not {what}")
    print(f"{backup} is {what}")


def _mark(backup: str, content: dict[str, Any]) -> str:
    """The comment of a database that was restored to its end."""
    return f"restored whole from {backup} {content['sha256']}"


def _comment(beside: psycopg.Connection[Any], name: str) -> str | None:
    row = beside.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [name]
    ).fetchone()
    return row[0] if row else None


def _is_switched(beside: psycopg.Connection[Any], target: Target, ref: str) -> bool:
    found = exists(beside, target.database, target.before(ref), target.fresh(ref))
    return found == {target.database, target.before(ref)}


def _require_old(beside: psycopg.Connection[Any], target: Target, ref: str) -> None:
    found = exists(beside, target.database, target.before(ref))
    if target.before(ref) in found:
        raise Refused(f"{target.before(ref)} is there: {target.database} was switched by this rollback")
    if target.database not in found:
        raise Refused(f"there is no database {target.database}")


def _create_like(beside: psycopg.Connection[Any], old: str, fresh: str) -> None:
    """An empty database with the owner, encoding and locale of another."""
    row = beside.execute(
        "SELECT to_jsonb(d), pg_encoding_to_char(encoding), pg_get_userbyid(datdba) FROM pg_database d"
        " WHERE datname = %s",
        [old],
    ).fetchone()
    assert row is not None
    database, encoding, owner = row
    provider = _LOCALE_WORDS[database["datlocprovider"]]
    options = {
        "ENCODING": encoding,
        "LOCALE_PROVIDER": provider.lower(),
        "LC_COLLATE": database["datcollate"],
        "LC_CTYPE": database["datctype"],
    }
    if provider != "LIBC":
        options[f"{provider}_LOCALE"] = database.get("datlocale") or database["daticulocale"]
    words = [sql.SQL("{} = {}").format(sql.SQL(key), sql.Literal(value)) for key, value in options.items()]
    beside.execute(
        sql.SQL("CREATE DATABASE {fresh} TEMPLATE template0 OWNER {owner} {options}").format(
            **identifiers(fresh=fresh, owner=owner), options=sql.SQL(" ").join(words)
        )
    )


def _copy_properties(beside: psycopg.Connection[Any], old: str, fresh: str) -> None:
    """Rights and settings of the database itself: no dump of one database has them."""
    name = identifiers(fresh=fresh)
    (acl,) = beside.execute("SELECT datacl FROM pg_database WHERE datname = %s", [old]).fetchone() or (None,)
    if acl is not None:
        beside.execute(sql.SQL("REVOKE ALL ON DATABASE {fresh} FROM PUBLIC").format(**name))
    for grantee, privilege in beside.execute(
        "SELECT CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, privilege_type"
        " FROM pg_database, aclexplode(datacl) WHERE datname = %s",
        [old],
    ).fetchall():
        role = sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee)
        beside.execute(
            sql.SQL("GRANT {privilege} ON DATABASE {fresh} TO {role}").format(
                **name, privilege=sql.SQL(privilege), role=role
            )
        )
    for role_name, setting in beside.execute(
        "SELECT CASE setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(setrole) END, unnest(setconfig)"
        " FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = %s",
        [old],
    ).fetchall():
        key, _, value = setting.partition("=")
        whose = sql.SQL("DATABASE {fresh}").format(**name)
        if role_name is not None:
            whose = sql.SQL("ROLE {role} IN DATABASE {fresh}").format(**name, **identifiers(role=role_name))
        # Set here first, then taken FROM CURRENT: so no value has to be quoted by our own rules.
        with beside.transaction():
            beside.execute("SELECT set_config(%s, %s, true)", [key, value])
            beside.execute(
                sql.SQL("ALTER {whose} SET {key} FROM CURRENT").format(
                    whose=whose, key=sql.Identifier(*key.split("."))
                )
            )


def _compare_rows(expected: dict[str, int], found: dict[str, int]) -> None:
    for table in sorted(expected.keys() | found.keys()):
        if expected.get(table) != found.get(table):
            raise Refused(f"{table} has {found.get(table)} rows, the dump has {expected.get(table)}")


def _check_trees(connection: psycopg.Connection[Any]) -> str:
    """By amcheck where the database has it; it is not installed here, which would be a change."""
    if connection.execute("SELECT FROM pg_extension WHERE extname = 'amcheck'").fetchone() is None:
        return "amcheck is not installed there"
    connection.execute(
        "SELECT bt_index_check(c.oid) FROM pg_class c JOIN pg_am a ON a.oid = c.relam"
        " WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p'"
    )
    return "its B-trees are sound"


def _rename(target: Target, *pairs: tuple[str, str]) -> None:
    """Rename databases in one transaction while another session ends whoever is in them.

    A rename locks the database against newcomers and waits for those inside, so between the two nobody
    slips in; when this process dies the transaction goes with it, and every name is as it was.
    """
    done = threading.Event()
    names = [old for old, _new in pairs]
    with target.beside(autocommit=False) as renaming, target.beside() as ending:
        thread = threading.Thread(target=_end_sessions, args=(ending, names, done))
        thread.start()
        try:
            for old, new in pairs:
                renaming.execute(
                    sql.SQL("ALTER DATABASE {old} RENAME TO {new}").format(**identifiers(old=old, new=new))
                )
            renaming.commit()
        finally:
            done.set()
            thread.join()


def _end_sessions(ending: psycopg.Connection[Any], names: list[str], done: threading.Event) -> None:
    while not done.wait(0.1):
        ending.execute(_END_SESSIONS, [names])
