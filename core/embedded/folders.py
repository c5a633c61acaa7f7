"""Where embedded servers keep private files and sockets below VAR_DIR."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path

# sun_path holds 104 bytes on macOS and 108 on Linux; the longest name in the folder needs 15.
LONGEST_SOCKET_DIR_BYTES = 89
# What needs no quoting in a libpq, Redis or kombu URL, nor in PostgreSQL's own list of folders.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


class NotPrivate(RuntimeError):
    """A folder for sockets, data or secrets belongs to somebody else or is open to others."""


def socket_dir(var_dir: Path) -> Path:
    """The folder of the embedded servers' sockets: the same answer in every process, without I/O
    on the folder itself.

    It is `var_dir/run`, or a short folder named after it where that path is too long for a socket
    or has characters that a URL would have to quote.
    """
    folder = var_dir.resolve() / "run"
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_DIR_BYTES and PLAIN_PATH.fullmatch(str(folder)):
        return folder
    # Not gettempdir(): a second terminal with another TMPDIR has to find the same socket.
    return Path("/tmp") / f"firebreak-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"  # noqa: S108


def own_dir(folder: Path) -> Path:
    """Create `folder` as 0700 if it is missing, and return it.

    Raises NotPrivate when what is there is not ours: the name may be known, so another account of
    the machine may have been first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotPrivate(f"{folder} is not a folder: move it away and start again.")
    if found.st_uid != os.geteuid():
        raise NotPrivate(
            f"{folder} belongs to uid {found.st_uid}, not to uid {os.geteuid()} that runs"
            " Firebreak: give it back (chown -R) or set VAR_DIR to another folder."
        )
    return folder


def private_dir(folder: Path) -> Path:
    """Create `folder` as 0700 if it is missing, and return it; raises NotPrivate otherwise."""
    if own_dir(folder).stat().st_mode & 0o077:
        raise NotPrivate(f"{folder} is open to other accounts: chmod 700 it and start again.")
    return folder
