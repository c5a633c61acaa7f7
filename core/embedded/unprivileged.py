"""Becomes an unprivileged account for good and runs a command: `make run` and `make test` as root.

    python -m core.embedded.unprivileged --var-dir DIR [--reach PATH]… -- COMMAND ARGUMENT…

For anybody but root it only runs the command. Standard library only: it runs before anything else.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

BASE_DIR = Path(__file__).resolve().parents[2]
# A folder with one of these files in it is a VAR_DIR: see core.embedded.stack.
VAR_DIR_MARKS = ("supervisor.lock", "secret_key", "encryption_key")

CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18


class CannotBecomeUnprivileged(Exception):
    """No way to run as another account; the message has the remedies."""


@dataclass(frozen=True)
class Account:
    """Who the command runs as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def main(arguments: Sequence[str]) -> NoReturn:
    """Parse `arguments` and become the command; exits with one message when that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m core.embedded.unprivileged")
    parser.add_argument("--var-dir", type=Path, required=True)
    parser.add_argument("--reach", type=Path, action="append", default=[])
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    try:
        if os.geteuid() == 0:
            become_unprivileged(options.var_dir.resolve(), options.reach)
        run(options.command)
    except CannotBecomeUnprivileged as error:
        sys.exit(f"firebreak: {error}")
    except OSError as error:
        sys.exit(f"firebreak: {error}. Running it as an ordinary user avoids this.")


def become_unprivileged(var_dir: Path, reach: Iterable[Path] = ()) -> None:
    """Turn this root process into the account of `var_dir`, able to enter what it needs.

    Raises CannotBecomeUnprivileged, and OSError where root itself is limited.
    """
    os.umask(0o022)
    account = choose_account(var_dir)
    give_var_dir(var_dir, account)
    working_dir = Path.cwd()
    compile_own_code()
    make_reachable(account, needed_paths(var_dir, reach))
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    home = var_dir / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    for name in [name for name in os.environ if name.startswith(("XDG_", "SUDO_"))]:
        del os.environ[name]
    os.environ |= {"HOME": str(home), "USER": account.name, "LOGNAME": account.name}
    os.environ["FIREBREAK_WAS_ROOT"] = "1"
    try:
        os.chdir(working_dir)  # by its path: what is mounted there now may be another folder
    except OSError:
        os.chdir(BASE_DIR)


def compile_own_code() -> None:
    """Leave the checkout's bytecode beside its sources, where the account may not: each of the many
    processes would compile everything again, at every start.
    """
    for package in BASE_DIR.glob("*/__init__.py"):
        compileall.compile_dir(package.parent, quiet=2)


def run(command: Sequence[str]) -> NoReturn:
    """Replace this process by `command`."""
    program = shutil.which(command[0])
    if program is None:
        raise CannotBecomeUnprivileged(f"{command[0]}: no such program, or it may not be run.")
    # By its full path, but with links kept: Python finds its virtual environment by argv[0].
    program = os.path.abspath(program)
    os.execv(program, [program, *command[1:]])  # noqa: S606


# --- the account and its folder -----------------------------------------------------------------


def choose_account(var_dir: Path) -> Account:
    """FIREBREAK_USER, else who owns `var_dir`, else `firebreak`, else `nobody`; never root."""
    if wanted := os.environ.get("FIREBREAK_USER"):
        try:
            account = _named_account(wanted)
        except KeyError:
            raise CannotBecomeUnprivileged(f"FIREBREAK_USER={wanted}: no such account.") from None
        if account.uid == 0:
            raise CannotBecomeUnprivileged("FIREBREAK_USER must be an unprivileged account.")
        return account
    if var_dir.exists() and (owner := var_dir.stat()).st_uid != 0:
        try:
            return _named_account(pwd.getpwuid(owner.st_uid).pw_name)
        except KeyError:
            return Account(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid, (owner.st_gid,))
    for name in ("firebreak", "nobody"):
        with contextlib.suppress(KeyError):
            return _named_account(name)
    raise CannotBecomeUnprivileged("there is no account `nobody`: set FIREBREAK_USER.")


def give_var_dir(var_dir: Path, account: Account) -> None:
    """Make `var_dir` exist and belong to `account`, with what Firebreak has put there before.

    Refuses a folder in use, and a folder with files that are not Firebreak's: VAR_DIR=/var/lib
    would otherwise cost the machine.
    """
    if not var_dir.exists():
        var_dir.parent.mkdir(parents=True, exist_ok=True)
        var_dir.mkdir(mode=0o700)
    names = set(os.listdir(var_dir))
    ours = not names or not names.isdisjoint(VAR_DIR_MARKS)
    if var_dir.stat().st_uid != account.uid:
        if not ours:
            raise CannotBecomeUnprivileged(
                f"VAR_DIR={var_dir} belongs to another account than {account.name} and holds"
                " files that are not Firebreak's: set VAR_DIR to a new folder."
            )
        _refuse_if_running(var_dir)
    if ours:
        os.chown(var_dir, account.uid, account.gid)
        _give_contents(var_dir, account)


def _refuse_if_running(var_dir: Path) -> None:
    with contextlib.suppress(FileNotFoundError), (var_dir / "supervisor.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotBecomeUnprivileged(
                f"Firebreak runs in {var_dir} as another account: stop it first."
            ) from None


def _give_contents(var_dir: Path, account: Account) -> None:
    # By descriptors and without following links, and no file with a second name elsewhere: the
    # account can write here and must not trick root into giving away what lies outside.
    for _, folders, files, descriptor in os.fwalk(var_dir):
        for name in folders + files:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if found.st_uid != account.uid and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
                    os.chown(
                        name,
                        account.uid,
                        account.gid,
                        dir_fd=descriptor,
                        follow_symlinks=False,
                    )


def _named_account(name: str) -> Account:
    found = pwd.getpwnam(name)
    groups = os.getgrouplist(name, found.pw_gid)
    return Account(name, found.pw_uid, found.pw_gid, tuple(groups))


# --- what the account has to enter --------------------------------------------------------------


def needed_paths(var_dir: Path, reach: Iterable[Path] = ()) -> set[Path]:
    """The folders without which nothing runs: the checkout, Python's, `var_dir` and `reach`."""
    named = [BASE_DIR, Path(sys.prefix), Path(sys.base_prefix), var_dir, *reach]
    link = Path(sys.executable)
    while link.is_symlink():  # a virtual environment's python may take several steps
        link = link.parent / os.readlink(link)
        named.append(link.parent)
    return {Path(os.path.abspath(path)) for path in named} | {path.resolve() for path in named}


def make_reachable(account: Account, paths: set[Path]) -> None:
    """Let `account` enter each of `paths` without changing the permissions of anybody's folder.

    A folder in the way, such as a 0700 home, is replaced in a mount namespace of our own by an
    empty one that anybody may enter, with the needed paths below it mounted at their places. The
    rest of it is not visible to us any more, and other processes see no difference.
    """
    opened: set[Path] = set()
    while doors := closed_doors(account, paths):
        try:
            if not opened:
                _enter_own_mount_namespace()
            for door in doors - opened:
                _open_door(door, paths)
        except OSError as error:
            raise _unreachable(account, doors, str(error)) from error
        if doors & opened:
            raise _unreachable(account, doors, "it stays closed")
        opened |= doors
    with _acting_as(account):
        for path in (Path(__file__), Path(sys.executable)):
            if not os.access(path, os.R_OK, effective_ids=True):
                raise _unreachable(account, {path}, "its own permissions forbid reading it")


def closed_doors(account: Account, paths: Iterable[Path]) -> set[Path]:
    """For each of `paths`, the first folder on the way (or itself) that `account` cannot enter."""
    doors = set()
    with _acting_as(account):
        for path in paths:
            for folder in (*reversed(path.parents), path):
                try:
                    os.stat(f"{folder}/." if folder.is_dir() else folder)
                except PermissionError:
                    doors.add(folder)
                    break
                except FileNotFoundError:
                    break
    return doors


@contextlib.contextmanager
def _acting_as(account: Account) -> Iterator[None]:
    """As far as the kernel's permission checks go; for a moment."""
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    if uid != account.uid:
        os.setgroups(account.groups)
        os.setegid(account.gid)
        os.seteuid(account.uid)
    try:
        yield
    finally:
        if uid != account.uid:
            os.seteuid(uid)
            os.setegid(gid)
            os.setgroups(groups)


def _open_door(door: Path, paths: Iterable[Path]) -> None:
    below = {path for path in paths if door in path.parents}
    if door in paths:
        below |= set(door.iterdir())
    held: dict[Path, int] = {}
    for path in below:
        # What lies in another needed path comes with it; a dangling link is needed by nobody.
        if not below & set(path.parents) and path.exists():
            held[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
    _mount("tmpfs", door, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for path, descriptor in held.items():
        source = Path(f"/proc/self/fd/{descriptor}")
        if source.is_dir():
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        _mount(str(source), path, None, MS_BIND | MS_REC)
        os.close(descriptor)


def _enter_own_mount_namespace() -> None:
    # Before any O_PATH descriptor: one of the former namespace cannot be mounted in the new one.
    if not sys.platform.startswith("linux"):
        raise OSError("only Linux has mount namespaces")
    _check(_libc().unshare(CLONE_NEWNS))
    _mount("none", Path("/"), None, MS_REC | MS_PRIVATE)


def _mount(source: str, target: Path, kind: str | None, flags: int, options: str = "") -> None:
    fs_type = kind.encode() if kind else None
    _check(_libc().mount(source.encode(), os.fsencode(target), fs_type, flags, options.encode()))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _unreachable(account: Account, doors: Iterable[Path], reason: str) -> CannotBecomeUnprivileged:
    return CannotBecomeUnprivileged(
        f"servers and steps run as the account {account.name}, which cannot enter"
        f" {', '.join(sorted(map(str, doors)))} ({reason}). Any of these helps: clone Firebreak"
        " where everybody may enter, such as /srv; run it as an ordinary user; set FIREBREAK_USER"
        " to an account that may enter, or VAR_DIR to a folder outside."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
