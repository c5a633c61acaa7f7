"""deploy/ and its guide say what the code says, and the tools that read them agree."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks

from comms.publishing.files import CONTENT_SECURITY_POLICY
from core import shutdown
from tests.deployment import checks, environment, guide
from tests.deployment.guide import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMMON = DEPLOY / "systemd" / "firebreak-.service.d" / "10-common.conf"
MANAGE = (DEPLOY / "bin" / "firebreak-manage").read_text()


def settings_of(unit: Path) -> dict[str, list[str]]:
    """A unit's settings with the common ones, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (unit.read_text() + COMMON.read_text()).splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


# --- the environment ------------------------------------------------------------------------------
def test_every_variable_is_in_the_example_and_none_is_invented() -> None:
    read = (
        environment.read_by_the_settings() | environment.named_by_the_playbook() | {"HOST", "GRANIAN_WORKERS"}
    )
    documented = set(environment.documented())
    missing, invented = sorted(read - documented), sorted(documented - read)
    assert not missing, f"deploy/firebreak.env.example lacks {missing}: add each with a line that explains it"
    assert not invented, f"deploy/firebreak.env.example names {invented}, which nothing reads"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('A = env.str("ONE", default="")\nif B := env.bool("TWO"): pass', {"ONE", "TWO"}),
        ('C = other.str("THREE")\nD = env.db_url_config(URL)\nE = os.environ.get("FOUR")', {"FOUR"}),
        ('F = os.environ["FIVE"]\nG = env("SIX", default=1)', {"FIVE", "SIX"}),
    ],
)
def test_the_settings_are_read_well(source: str, found: set[str]) -> None:
    assert environment.variables_in(source) == found


def test_an_example_line_has_no_quotes_and_a_comment_before_it() -> None:
    lines = (DEPLOY / "firebreak.env.example").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if environment.VARIABLE.match(line):
            assert before.startswith("#"), f"{line} is not explained"
            assert not re.search(r"[\"'$\\]", line), f"{line}: systemd, sh and Compose would read it apart"


def test_units_and_the_manage_command_agree_on_the_environment() -> None:
    (common,) = [value for value in settings_of(UNITS[0])["Environment"] if value.startswith("HOST=")]
    for pair in common.split():
        assert pair in MANAGE or pair.startswith("PYTHONUNBUFFERED"), f"firebreak-manage lacks {pair}"


# --- the units ------------------------------------------------------------------------------------
def test_the_units_run_what_the_procfile_runs() -> None:
    wanted = dict(
        line.split(": ", 1)
        for line in (ROOT / "Procfile").read_text().splitlines()
        if line[:1] not in ("#", "")
    )
    found = {}
    for unit in UNITS:
        (command,) = settings_of(unit)["ExecStart"]
        assert "%" not in command.replace("%%", ""), f"{unit.name}: % begins a specifier of systemd's"
        command = command.replace("%%", "%").replace("/opt/firebreak/current/.venv/bin/python", "python")
        found[unit.stem.removeprefix("firebreak-")] = re.sub(r"\$\{(\w+)\}", r"$\1", command)
    assert found == wanted
    target = (DEPLOY / "systemd" / "firebreak.target").read_text()
    assert set(re.findall(r"firebreak-\w+\.service", target)) == {unit.name for unit in UNITS}


def test_a_stop_waits_longer_than_any_command() -> None:
    for name in ("runner", "watchdog"):
        unit = settings_of(DEPLOY / "systemd" / f"firebreak-{name}.service")
        minutes = re.fullmatch(r"(\d+)min", unit["TimeoutStopSec"][0])
        assert minutes
        assert int(minutes[1]) * 60 > shutdown.STEP_GRACE_SECONDS
        assert unit["KillMode"] == ["process"], "what ends the worker must not end its command"
    compose = (DEPLOY / "compose.yaml").read_text()
    assert re.findall(r"stop_grace_period: (\d+)m\b", compose) == ["16", "16"]


def test_only_the_runner_and_the_watchdog_have_the_account_of_commands() -> None:
    accounts = {unit.stem: settings_of(unit)["User"] for unit in UNITS}
    assert {name for name, user in accounts.items() if user == ["firebreak-runner"]} == {
        "firebreak-runner",
        "firebreak-watchdog",
    }


@pytest.mark.parametrize("name", sorted(unit.name for unit in UNITS))
def test_exposure(name: str) -> None:
    """The figures of the guide. A setting that is lost or loosened shows here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    argv = ["systemd-analyze", "security", "--offline=true", str(DEPLOY / "systemd" / name)]
    told = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    exposure = re.search(r"Overall exposure level for \S+ (\d+\.\d)", told)
    assert exposure, told
    limit = 1.7 if name in ("firebreak-runner.service", "firebreak-watchdog.service") else 1.2
    assert float(exposure[1]) <= limit


# --- the status page --------------------------------------------------------------------------------
def test_nginx_gives_the_files_the_policy_that_firebreak_gives_them() -> None:
    assert f'"{CONTENT_SECURITY_POLICY}"' in (DEPLOY / "nginx" / "firebreak.conf").read_text()


def test_those_who_write_the_files_may_and_nobody_else() -> None:
    """comms, and the watchdog in its place; the web process, which talks to everybody, does not."""
    may = {unit.stem for unit in UNITS if "ReadWritePaths" in settings_of(unit)}
    assert may == {"firebreak-comms", "firebreak-watchdog"}
    for name in may:
        (place,) = settings_of(DEPLOY / "systemd" / f"{name}.service")["ReadWritePaths"]
        assert f"STATUS_PAGE_DIR={place}" in COMMON.read_text()
        assert f"root {place};" in (DEPLOY / "nginx" / "firebreak.conf").read_text()


# --- what other programs say ------------------------------------------------------------------------
@pytest.mark.parametrize("name", checks.CHECKS)
def test_each_file_passes_its_check(name: str) -> None:
    assert _faults(name, DEPLOY) == ""


@pytest.mark.parametrize(
    ("name", "file", "right", "wrong", "said"),
    [
        ("compose.yaml", "compose.yaml", "restart: unless-stopped", "restarts: unless-stopped", "restarts"),
        ("Dockerfile", "Dockerfile", "WORKDIR /opt/firebreak\nENV", "WORKDIR opt\nENV", "DL3000"),
        ("systemd", "systemd/firebreak-runner.service", "KillMode=process", "KillMod=process", "KillMod"),
        (
            "systemd",
            "systemd/firebreak-.service.d/10-common.conf",
            "PrivateTmp=yes",
            "PrivateTmp=perhaps",
            "perhaps",
        ),
        (
            "nginx/firebreak.conf",
            "nginx/firebreak.conf",
            "proxy_buffering off",
            "proxy_bufering off",
            "proxy_bufering",
        ),
    ],
)
def test_a_fault_is_caught(name: str, file: str, right: str, wrong: str, said: str, tmp_path: Path) -> None:
    copy = shutil.copytree(DEPLOY, tmp_path / "deploy")
    text = (copy / file).read_text()
    assert right in text
    (copy / file).write_text(text.replace(right, wrong))
    assert said in _faults(name, copy)


def _faults(name: str, deploy: Path) -> str:
    told = checks.faults(name, deploy)
    if told is None:
        pytest.skip(f"{checks.CHECKS[name][1]} is not installed")
    return told


def test_nginx_replaces_what_a_client_claims_to_be() -> None:
    """NUM_PROXIES=1 in the example counts on exactly one address in the header."""
    conf = (DEPLOY / "nginx" / "firebreak.conf").read_text()
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in conf
    assert conf.count("X-Forwarded-For") == 1
    assert not re.search(r"location[^{]*{[^}]*proxy_set_header", conf), "it would undo the server's own"
    assert "NUM_PROXIES=1\n" in (DEPLOY / "firebreak.env.example").read_text()


def test_every_request_is_named_by_nginx() -> None:
    """Set once for the server: no location sets a header of its own (see above)."""
    server = (DEPLOY / "nginx" / "firebreak.conf").read_text().partition("location / { proxy_pass")[0]
    assert "    proxy_set_header X-Request-ID $request_id;\n" in server


# --- the guide --------------------------------------------------------------------------------------
def test_the_guide_has_every_part_and_its_shell_is_valid() -> None:
    assert guide.parts() == {"install", "checkout", "backup", "upgrade", "rollback", "remove"}
    for part in guide.parts():
        for block in guide.blocks(part):
            done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
            assert done.returncode == 0, f"{block}{done.stderr}"


def test_files_and_commands_the_guide_names_exist() -> None:
    text = guide.GUIDE.read_text()
    for path in re.findall(r"/opt/firebreak/current/(deploy/[\w./-]+)", text):
        assert (ROOT / path.rstrip(".")).exists(), path
    for anchor in re.findall(r"\]\(#([\w-]+)\)", text):
        headings = [
            re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
            for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        ]
        assert anchor in headings, anchor
    for path in re.findall(r"\]\((\.\./[\w./-]+)\)", text):
        assert (guide.GUIDE.parent / path).exists(), path


# --- settings that only production has ------------------------------------------------------------------
def test_a_missing_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x" * 50)
    assert "firebreak.W021" not in _warnings()
    monkeypatch.delenv("SECRET_KEY")
    assert "firebreak.W021" in _warnings()


def _warnings() -> set[str]:
    return {message.id for message in run_checks(include_deployment_checks=True) if message.id}


def test_static_files_are_gathered_under_their_hash(tmp_path: Path) -> None:
    """Also that no style or script refers to a file that is not there: gathering would fail."""
    code = (
        "from django.conf import settings; import sys; settings.STATIC_ROOT = sys.argv[1];"
        "from django.core.management import call_command; import django; django.setup();"
        "call_command('collectstatic', interactive=False, verbosity=0);"
        "from django.templatetags.static import static; print(static('firebreak/app.css'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "STATIC_FROM_SOURCE": "false", "SECRET_KEY": "unused", "VAR_DIR": str(tmp_path / "var"),
             "DJANGO_SETTINGS_MODULE": "config.settings"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.fullmatch(r"/static/(firebreak/app\.[0-9a-f]{12}\.css)\s*", done.stdout)
    assert found, done.stdout
    assert (tmp_path / found[1]).exists()
    assert (tmp_path / f"{found[1]}.gz").exists()
