"""Returns a PostgreSQL database to a backup: dump first, restore beside, check, then switch names.

Source: the policy, "Manual Rollback Commands", Database Rollback. The policy's own lines restore over the
database that serves; here nothing is written to it. The backup goes into a new database, is checked there,
and gets the old one's name in one transaction; the old one is kept under another until a person drops it.
Firebreak's own database is refused by every verb.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from demo.fencing import sole_change
from demo.procedures.postgres import dumps, restoring
from demo.procedures.postgres.dumps import BACKUP, LABEL, Store, open_store
from demo.procedures.postgres.server import NAME, NEVER, Target, exists, open_server
from demo.procedures.program import Refused, reference, run_main


def check(target: Target, store: Store, _options: argparse.Namespace) -> None:
    """Is the database there, not Firebreak's, and is there space to dump and restore it."""
    target.require_not_ours()
    dumps.require_space(target, store)
    print(f"{target.database} answers")


def back_up(target: Target, store: Store, options: argparse.Namespace) -> None:
    """Dump the database into the store."""
    dumps.back_up(target, store, options.label)


def verify_backup(target: Target, store: Store, options: argparse.Namespace) -> None:
    """Is a backup whole, sealed here, and of this database."""
    target.require_not_ours()
    content = dumps.verify(target, store, options.backup)
    print(f"{options.backup} is whole: made {content['made_at']}, {sum(content['rows'].values())} rows")


def restore(target: Target, store: Store, options: argparse.Namespace) -> None:
    """Restore a backup into a new database beside the old one."""
    restoring.restore(target, store, options.backup, options.ref)


def check_integrity(target: Target, store: Store, options: argparse.Namespace) -> None:
    """Compare the restored database with the dump, and ask the procedure's own checks."""
    restoring.check_integrity(
        target, store, options.backup, options.ref, checks=options.check, live=options.live
    )


def switch(target: Target, store: Store, options: argparse.Namespace) -> None:
    """Give the restored database the old one's name."""
    restoring.switch(target, store, options.backup, options.ref)


def undo(target: Target, _store: Store, options: argparse.Namespace) -> None:
    """Give the old database its name back."""
    restoring.undo(target, options.ref)


def read_back(target: Target, store: Store, options: argparse.Namespace) -> None:
    """Is the backup restored, is it switched to."""
    restoring.read_back(target, store, options.backup, options.ref, options.what)


def list_backups(_target: Target, store: Store, _options: argparse.Namespace) -> None:
    """Print the backups there are, the newest first."""
    for name in store.names():
        print(name)


def make_demo(target: Target, _store: Store, _options: argparse.Namespace) -> None:
    """Create the database with a few orders in it, to try this with."""
    with target.beside() as beside:
        if target.database in exists(beside, target.database):
            raise Refused(f"{target.database} is there already")
        beside.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(target.database)))
    with target.server.connect(target.database) as connection:
        connection.execute(
            "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " product text NOT NULL, pieces int NOT NULL CHECK (pieces > 0))"
        )
        connection.execute(
            "INSERT INTO orders (product, pieces) SELECT 'bowl', n FROM generate_series(1, 100) n"
        )
    print(f"{target.database} has 100 orders")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb: 0 when it was done, 1 when it could not be, 2 when it was asked wrongly."""
    return run_main(_parser(), _work, arguments)


def _work(options: argparse.Namespace) -> None:
    target = Target(open_server(options.connection), options.database, options.maintenance)
    store = open_store(options.store)
    try:
        if options.changes:
            with sole_change(store.folder / f".{target.database}"):
                options.do(target, store, options)
        else:
            options.do(target, store, options)
    except psycopg.Error as error:
        raise Refused(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="database", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(
        name: str, do: Callable[..., None], *wants: str, changes: bool = False
    ) -> argparse.ArgumentParser:
        summary = (do.__doc__ or "").partition("\n")[0]
        verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        verb.add_argument("--connection", type=Path, required=True, help="a service file of one section")
        verb.add_argument("--store", type=Path, required=True, help="the folder of the backups")
        verb.add_argument("--database", type=_database, required=True)
        verb.add_argument("--maintenance", default="postgres", help="a database to connect to (postgres)")
        if "ref" in wants:
            verb.add_argument("--ref", type=reference, required=True, help="of the rollback")
        if "backup" in wants:
            verb.add_argument("backup", type=_like(BACKUP, "the name of a backup"))
        verb.set_defaults(do=do, changes=changes)
        return verb

    add("check", check)
    add("back-up", back_up, changes=True).add_argument(
        "--label", type=_like(LABEL, "a label"), required=True, help="such as the rollback's reference"
    )
    add("list-backups", list_backups)
    add("verify-backup", verify_backup, "backup")
    add("restore", restore, "ref", "backup", changes=True)
    checking = add("check-integrity", check_integrity, "ref", "backup")
    checking.add_argument("--check", action="append", default=[], help="a SELECT that must give true")
    checking.add_argument("--live", action="store_true", help="the database that serves, after the switch")
    add("switch", switch, "ref", "backup", changes=True)
    add("undo", undo, "ref", changes=True)
    add("read-back", read_back, "ref", "backup").add_argument("what", choices=("restored", "switched"))
    add("make-demo", make_demo)
    return parser


def _database(text: str) -> str:
    if not NAME.match(text) or text in NEVER:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a database that may be rolled back")
    return text


def _like(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if not pattern.match(text):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return text

    return checked
