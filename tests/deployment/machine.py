"""A clean Debian 12 of its own: made by debootstrap, booted with its systemd, without a network but loopback."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

MIRROR = "http://deb.debian.org/debian"
CLONE_NEWNET = 0x40000000
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CLEAN = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
# Variables, folder and umask outlive a block: the guide is pasted into one shell.
SHELL = r"""
set -euo pipefail
[ ! -f /run/shell-state ] || . /run/shell-state
%s
umask -p > /run/shell-state.new
printf 'cd %%q\n' "$PWD" >> /run/shell-state.new
for name in $(compgen -v | grep -E '^[A-Z][A-Z_]*$' | grep -vxE 'BASH[A-Z_]*|EUID|PPID|UID|SHELLOPTS|DIRSTACK|GROUPS|FUNCNAME|PIPESTATUS|RANDOM|SRANDOM|LINENO|SECONDS|EPOCH[A-Z]*|HISTCMD|COMP_WORDBREAKS|IFS|OPT[A-Z]*|PS4|SHLVL|PWD|OLDPWD|PATH|HOME|LANG|PIP_CERT|MACHTYPE|OSTYPE|HOSTTYPE|HOSTNAME|TERM|SHELL'); do
    declare -p "$name" >> /run/shell-state.new
done
mv /run/shell-state.new /run/shell-state
"""


class BlockFailed(AssertionError):
    """A block ended with an error; the message has what it printed."""


class Machine:
    """The machine in `folder`/root. Needs root, debootstrap and systemd-nspawn."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._base = folder / "base"
        self.console = folder / "console.log"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._host_network = os.open("/proc/self/ns/net", os.O_RDONLY)

    def install(self) -> None:
        """A Debian 12 with nothing but its base, its systemd and its certificates.

        The base is kept in the folder beside it, for the next machine there.
        """
        if not self._base.exists():
            making = self._base.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            argv = ["debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,ca-certificates"]
            argv += ["bookworm", str(making), MIRROR]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            making.rename(self._base)
        shutil.rmtree(self.root, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self._base), str(self.root)], check=True)
        security = "deb http://deb.debian.org/debian-security bookworm-security main\n"
        (self.root / "etc/apt/sources.list.d/security.list").write_text(security)
        # How this very machine reaches the packages: its resolver and the certificates it trusts.
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        if CERTIFICATES.exists():
            shutil.copy(CERTIFICATES, self.root / CERTIFICATES.relative_to("/"))

    def boot(self) -> None:
        """Boot it in a network namespace of its own, where this process follows."""
        argv = [
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--resolv-conf=off",
        ]
        with self.console.open("wb") as console:
            self._nspawn = subprocess.Popen(
                [*argv, "--directory", str(self.root), "--boot"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self._nspawn.poll() is None, self.console.read_text(errors="replace")[-2000:]
            self._leader = self._leader or self._find_leader()
            if self._leader and self.sh("systemctl is-system-running", check=False) in (
                "running",
                "degraded",
            ):
                self._enter_network()
                return
            time.sleep(0.5)
        raise AssertionError(f"it does not boot:\n{self.console.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """Power it off; whatever of it is left after half a minute is killed."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return
        if self._leader:
            os.kill(self._leader, signal.SIGRTMIN + 4)  # systemd: power off
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            for left in psutil.Process(self._nspawn.pid).children(recursive=True):
                left.kill()
            self._nspawn.kill()
            self._nspawn.wait(10)

    def paste(self, block: str) -> str:
        """Run a block of the guide; returns what it printed. Raises BlockFailed.

        Only what fetches packages sees the network of this machine.
        """
        online = "apt-get" in block or "/bin/pip" in block
        done = self._run(SHELL % block, online=online)
        if done.returncode != 0:
            raise BlockFailed(
                f"{block}\n--- ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
            )
        return done.stdout

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run something that is not in the guide."""
        done = self._run(script, online=False)
        assert not check or done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def _run(self, script: str, *, online: bool) -> subprocess.CompletedProcess[str]:
        network = f"--net=/proc/self/fd/{self._host_network}" if online else "--net"
        certificates = {"PIP_CERT": str(CERTIFICATES)} if CERTIFICATES.exists() else {}
        return subprocess.run(
            ["nsenter", "--target", str(self._leader), "--mount", "--uts", "--ipc", "--pid", network, "bash", "-c", script],
            env=CLEAN | certificates, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            pass_fds=[self._host_network], timeout=1200,
        )  # fmt: skip

    def _find_leader(self) -> int:
        assert self._nspawn is not None
        children = psutil.Process(self._nspawn.pid).children()
        return next((child.pid for child in children if child.name() == "systemd"), 0)

    def _enter_network(self) -> None:
        """From here on this process and its children speak with the machine over its own loopback."""
        with open(f"/proc/{self._leader}/ns/net") as network:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(network.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the machine's network")
