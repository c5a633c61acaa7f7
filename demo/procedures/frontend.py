"""Returns a frontend to an earlier commit with git and npm, in a clone of Firebreak's own.

Source: the policy, "Manual Rollback Commands", Frontend Application Rollback. `git reset --hard` throws
work away, so it happens only in the clone that `prepare` has made and marked, never in anybody's checkout.
Everything stands below one folder (`--home`):

    clone/               the clone; nobody works here
    releases/<commit>/   what was built of a commit, with its manifest; never changed
    current, previous    links to the release that is deployed, and the one before
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from demo.fencing import sole_change
from demo.manifest import MANIFEST, checksums, difference
from demo.procedures.program import Refused, commit, reference, run_main, run_program
from demo.storefront.site import read_json, replace_link, write_json

SOURCE = re.compile(r"^(/|https://|ssh://)[^\s\0]+\Z")
MARK = "firebreak-clone.json"
BUILT = "dist"


@dataclass(frozen=True)
class Frontend:
    """The folder that everything stands in."""

    home: Path

    @property
    def clone(self) -> Path:
        return self.home / "clone"

    @property
    def mark(self) -> Path:
        """Inside of `.git`, where no commit can put a file."""
        return self.clone / ".git" / MARK

    @property
    def current(self) -> Path:
        return self.home / "current"

    @property
    def previous(self) -> Path:
        return self.home / "previous"

    def release(self, commit: str) -> Path:
        return self.home / "releases" / commit

    def deployed(self) -> str | None:
        """The commit that is deployed."""
        return Path(os.readlink(self.current)).name if self.current.is_symlink() else None

    def git(self, *words: str) -> str:
        """Run git on the clone and nothing else: neither a variable nor a folder above can lead elsewhere."""
        own = self._require_own_clone()
        return _git("--git-dir", str(own / ".git"), "--work-tree", str(own), *words, cwd=own)

    def npm(self, commit: str, *words: str) -> None:
        environment = {
            "npm_config_cache": str(self.home / "npm-cache"),
            "npm_config_update_notifier": "false",
            "FRONTEND_COMMIT": commit,
        }
        run_program(("npm", *words), cwd=self.clone, environment=environment, show=True)

    def _require_own_clone(self) -> Path:
        """The clone; raises Refused for every work tree that `prepare` has not made."""
        clone = self.clone
        plain = not clone.is_symlink() and (clone / ".git").is_dir() and not (clone / ".git").is_symlink()
        mark = read_json(self.mark) if plain and self.mark.is_file() else None
        if mark is None:
            raise Refused(f"{clone} is not a clone that `frontend prepare` has made: nothing is done there")
        if mark.get("clone") != str(clone.resolve()):
            raise Refused(f"{clone} is a copy of the clone in {mark.get('clone')}: nothing is done there")
        return clone


def prepare(frontend: Frontend, source: str) -> None:
    """Clone `source`, or fetch what is new in the clone there is."""
    if not SOURCE.match(source):
        raise Refused(f"{source!r} is no absolute path, https or ssh address")
    if frontend.clone.exists():
        frontend.git("rev-parse")  # refuses a clone that is not ours
        known = (read_json(frontend.mark) or {}).get("source")
        if known != source:
            raise Refused(f"the clone in {frontend.clone} is of {known}, not of {source}")
        frontend.git("fetch", "--quiet", "--prune", "--tags", "--force", "origin")
        print(f"fetched from {source}")
        return
    frontend.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=frontend.home, prefix=".clone-") as scratch:
        unfinished = Path(scratch) / "clone"
        _git("clone", "--quiet", "--no-checkout", "--no-hardlinks", "--", source, str(unfinished))
        write_json(unfinished / ".git" / MARK, {"source": source, "clone": str(frontend.clone.resolve())})
        os.rename(unfinished, frontend.clone)
    print(f"cloned {source} to {frontend.clone}")


def verify_target(frontend: Frontend, commit: str) -> None:
    """The commit is there, belongs to a branch or tag of the source, and can be built."""
    _expect(frontend, "there is no such commit in the source", "cat-file", "-e", f"{commit}^{{commit}}")
    if not frontend.git("for-each-ref", "--contains", commit, "--count=1", "refs/remotes", "refs/tags"):
        raise Refused(f"{commit} belongs to no branch or tag of the source")
    for name in ("package.json", "package-lock.json"):
        _expect(frontend, f"it has no {name}", "cat-file", "-e", f"{commit}:{name}")
    print(f"{commit[:12]} is there: {frontend.git('log', '-1', '--format=%cs %s', commit).strip()}")
    print(f"deployed now: {frontend.deployed() or 'nothing'}")


def roll_back(frontend: Frontend, commit: str, ref: str) -> None:
    """Check the commit out on a branch of the rollback's name, without anything else in the work tree."""
    verify_target(frontend, commit)
    branch = f"rollback-{ref}"
    # We hold the folder alone, so a lock is left of a git that was killed.
    (frontend.clone / ".git" / "index.lock").unlink(missing_ok=True)
    frontend.git("checkout", "--quiet", "--force", "-B", branch, commit)
    frontend.git("reset", "--quiet", "--hard", commit)
    frontend.git("clean", "--quiet", "-ffdx")
    print(f"{branch} is at {commit[:12]}")


def install(frontend: Frontend, commit: str) -> None:
    """Install exactly what the commit's lock file says."""
    _require_checkout(frontend, commit)
    _installed(frontend).unlink(missing_ok=True)
    frontend.npm(commit, "ci", "--no-audit", "--no-fund")
    write_json(_installed(frontend), {"commit": commit})
    print(f"packages of {commit[:12]} are installed")


def build(frontend: Frontend, commit: str) -> None:
    """Build the commit and keep the result as a release, whole or not at all."""
    _require_checkout(frontend, commit)
    if frontend.release(commit).exists():
        print(f"{commit[:12]} is built already: {_verify_release(frontend, commit)} files")
        return
    shutil.rmtree(frontend.clone / BUILT, ignore_errors=True)
    frontend.npm(commit, "run", "build")
    if not (frontend.clone / BUILT / "index.html").is_file():
        raise Refused(f"the build left no {BUILT}/index.html")
    releases = frontend.home / "releases"
    releases.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=releases, prefix=".build-") as scratch:
        unfinished = Path(scratch) / commit
        shutil.copytree(frontend.clone / BUILT, unfinished)
        write_json(unfinished / "release.json", {"commit": commit})
        write_json(unfinished / MANIFEST, {"sha256": checksums(unfinished)})
        os.rename(unfinished, frontend.release(commit))
    print(f"{commit[:12]} is built: {_verify_release(frontend, commit)} files")


def deploy(frontend: Frontend, commit: str) -> None:
    """Point `current` at the built commit in one step."""
    _verify_release(frontend, commit)
    before = frontend.deployed()
    if before == commit:
        print(f"{commit[:12]} is deployed already")
        return
    if before is not None:
        replace_link(frontend.previous, f"releases/{before}")
    replace_link(frontend.current, f"releases/{commit}")
    print(f"deployed {commit[:12]} instead of {before[:12] if before else 'nothing'}")


def undo_deploy(frontend: Frontend, commit: str) -> None:
    """Undo `deploy` of this commit: `current` is again what it was before; nothing when it is already."""
    if frontend.deployed() != commit:
        print(f"{commit[:12]} is not deployed")
        return
    if not frontend.previous.is_symlink():
        raise Refused("nothing was deployed before: there is nothing to return to")
    before = Path(os.readlink(frontend.previous)).name
    _verify_release(frontend, before)
    replace_link(frontend.current, f"releases/{before}")
    print(f"deployed {before[:12]} again instead of {commit[:12]}")


def smoke_test(frontend: Frontend, commit: str) -> None:
    """Serve what is deployed and get its pages, as a browser would."""
    with _served(frontend.current) as get:
        page, release = get("/"), json.loads(get("/release.json"))
    if release.get("commit") != commit:
        raise Refused(f"what is served was built of {release.get('commit')}, not of {commit}")
    print(f"GET /: 200, {len(page)} bytes, built of {commit[:12]}")


def read_back(frontend: Frontend, what: str, commit: str) -> None:
    """Raises Refused when `what` is not that of the commit."""
    found = QUESTIONS[what](frontend, commit)
    if found != commit:
        raise Refused(f"{what}: {found or 'nothing'}, not {commit}")
    print(f"{what}: {commit}")


def make_source(frontend: Frontend, at: Path) -> None:
    """A small repository to try this with: two commits, the second with a broken page. Prints both."""
    if at.exists():
        raise Refused(f"{at} is there already")
    shutil.copytree(Path(__file__).parents[1] / "frontend", at)
    author = ("-c", "user.name=Demo", "-c", "user.email=demo@example.test")
    _git("init", "--quiet", "--initial-branch=main", str(at))
    for message, title in (("The shop's page", "Larch & Linen"), ("A new title", "undefined")):
        page = at / "src" / "index.html"
        page.write_text(re.sub("<h1>.*</h1>", f"<h1>{title}</h1>", page.read_text(encoding="utf-8")))
        _git("add", "--all", cwd=at)
        _git(*author, "commit", "--quiet", "--no-gpg-sign", "--message", message, cwd=at)
        print(_git("rev-parse", "HEAD", cwd=at).strip())


def _git(*words: str, cwd: Path | None = None) -> str:
    # Hooks never run, no prompt waits for a person, and no `ext::` address becomes a program.
    environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:https:ssh", "GIT_PAGER": "cat"}
    return run_program(
        ("git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", *words),
        cwd=cwd,
        environment=environment,
    )


def _expect(frontend: Frontend, otherwise: str, *words: str) -> None:
    frontend.git("rev-parse")
    try:
        frontend.git(*words)
    except Refused:
        raise Refused(otherwise) from None


def _require_checkout(frontend: Frontend, commit: str) -> None:
    if (head := _checked_out(frontend, commit)) != commit:
        raise Refused(f"the clone is at {head}, not at {commit}: `frontend roll-back` first")


def _checked_out(frontend: Frontend, _commit: str) -> str:
    head = frontend.git("rev-parse", "HEAD").strip()
    changed = frontend.git("status", "--porcelain", "--untracked-files=no").strip()
    return f"{head} with changes" if changed else head


def _installed(frontend: Frontend) -> Path:
    return frontend.clone / ".git" / "firebreak-installed.json"


def _packages(frontend: Frontend, _commit: str) -> str:
    return str((read_json(_installed(frontend)) or {}).get("commit", ""))


def _build(frontend: Frontend, commit: str) -> str:
    _verify_release(frontend, commit)
    return commit


def _deployment(frontend: Frontend, _commit: str) -> str:
    deployed = frontend.deployed()
    if deployed:
        _verify_release(frontend, deployed)
    return deployed or ""


QUESTIONS: Mapping[str, Callable[[Frontend, str], str]] = {
    "checkout": _checked_out,
    "packages": _packages,
    "build": _build,
    "deployment": _deployment,
}


def _verify_release(frontend: Frontend, commit: str) -> int:
    """Number of files; raises Refused when they are not the ones that were built."""
    manifest = read_json(frontend.release(commit) / MANIFEST)
    if manifest is None:
        raise Refused(f"{commit} is not built")
    found = checksums(frontend.release(commit))
    if wrong := difference(manifest["sha256"], found):
        raise Refused(f"the release of {commit} is damaged: {wrong}")
    return len(found)


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[Callable[[str], str]]:
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield partial(_get, server.server_port)
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """The smoke test says itself what it asked."""


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    if answer.status != 200:
        raise Refused(f"GET {path}: {answer.status}, expected 200")
    return body


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb: 0 when it was done, 1 when it could not be, 2 when it was asked wrongly."""
    return run_main(_parser(), _work, arguments)


def _work(options: argparse.Namespace) -> None:
    frontend = Frontend(options.home.absolute())
    given = {
        name: getattr(options, name)
        for name in ("source", "commit", "ref", "what", "at")
        if hasattr(options, name)
    }
    if options.changes:
        with sole_change(frontend.home):
            options.do(frontend, **given)
    else:
        options.do(frontend, **given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="frontend", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(name: str, do: Callable[..., None], *, changes: bool = False) -> argparse.ArgumentParser:
        summary = (do.__doc__ or "").partition("\n")[0]
        verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        verb.add_argument("--home", type=Path, required=True, help="the folder it all stands in")
        verb.set_defaults(do=do, changes=changes)
        return verb

    add("prepare", prepare, changes=True).add_argument("--source", required=True)
    add("verify-target", verify_target).add_argument("commit", type=commit)
    rolling = add("roll-back", roll_back, changes=True)
    rolling.add_argument("--ref", type=reference, required=True)
    rolling.add_argument("commit", type=commit)
    for name, do in (
        ("install", install),
        ("build", build),
        ("deploy", deploy),
        ("undo-deploy", undo_deploy),
    ):
        add(name, do, changes=True).add_argument("commit", type=commit)
    add("smoke-test", smoke_test).add_argument("commit", type=commit)
    reading = add("read-back", read_back)
    reading.add_argument("what", choices=sorted(QUESTIONS))
    reading.add_argument("commit", type=commit)
    add("make-source", make_source).add_argument("--at", type=Path, required=True)
    return parser
