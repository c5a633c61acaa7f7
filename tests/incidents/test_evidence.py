"""Evidence: kept whole, named by what it is, never changed, and proven to be what was attached."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction

from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Event
from incidents.models import Evidence, EvidenceContent, EvidenceWithdrawal, Incident
from incidents.models.evidence import PIECE_BYTES
from incidents.rules.evidence import fitting_name, recognise
from incidents.selectors.evidence import evidence_board, read_evidence, verify_evidence
from incidents.services.evidence import (
    AlreadyAttached,
    EvidenceTooLarge,
    TooMuchEvidence,
    UnknownContent,
    attach_evidence,
    withdraw_evidence,
)
from incidents.services.incidents import close_incident, declare_incident, resolve_incident
from tests.conftest import run_as_owner
from tests.reporting import publish_report_of

MakeActor = Callable[..., Actor]


def png(width: int = 2, height: int = 2) -> bytes:
    """A picture that every browser shows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x20\x60\xc0" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


GIF = b"GIF89a\x02\x00\x02\x00\x00\x00\x00;"
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xc0\x00\x11\x08\x00\x02\x00\x03\x03"
    + b"\0" * 20
)
WEBP = b"RIFF\x1e\x00\x00\x00WEBPVP8 \x12\x00\x00\x00\x30\x01\x00\x9d\x01\x2a\x02\x00\x02\x00" + b"\0" * 8
HTML = b"<!doctype html><script>alert(document.domain)</script>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
LOG = "10:15 \x1b[31mERROR\x1b[0m Zahlung abgelehnt: größer als 5 €\r\n".encode()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


# --- what a file is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "content_type"),
    [
        (png(), "image", "image/png"),
        (GIF, "image", "image/gif"),
        (JPEG, "image", "image/jpeg"),
        (WEBP, "image", "image/webp"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "file", "application/pdf"),
        (zipped(), "file", "application/zip"),
        (gzip.compress(b"a log", mtime=0), "file", "application/gzip"),
        (LOG, "text", "text/plain"),
        (b'{"a": 1}', "text", "text/plain"),
        (HTML, "text", "text/plain"),
        (SVG, "text", "text/plain"),
        (
            b"GIF89a/*\x02\x00\x00\x00*/=alert(1);//",
            "image",
            "image/gif",
        ),  # also a script, and served as neither
        (b"\xef\xbb\xbf" + b"BOM", "text", "text/plain"),
    ],
)
def test_a_file_is_what_its_bytes_are(data: bytes, kind: str, content_type: str) -> None:
    found = recognise(data)
    assert found is not None
    assert (found.kind, found.content_type) == (kind, content_type)


@pytest.mark.parametrize(
    "data",
    [
        b"MZ\x90\x00\x03\x00\x00\x00\xff\xff",  # a program
        b"\x7fELF\x02\x01\x01\x00",
        b"text with a NUL\0 in it",
        b"text with a bell\x07",
        b"latin-1: gr\xf6\xdfer",
        "UTF-16".encode("utf-16"),
        b"\x89PNG\r\n\x1a\n",  # no more than a signature
        b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        b"GIF89a\xff",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0" + b"\0" * 100,
        b"RIFF\0\0\0\0WEBPVP8Z" + b"\0" * 30,
        png(2, 2)[:16] + struct.pack(">II", 60_000, 60_000) + b"\x08\x02\0\0\0\xff" * 4,  # 3.6 billion pixels
        png(2, 2)[:16] + struct.pack(">II", 0, 5) + b"\x08\x02\0\0\0\xff" * 4,
    ],
)
def test_what_is_none_of_them_is_not_kept(data: bytes) -> None:
    assert recognise(data) is None


def test_a_segment_that_points_back_does_not_hold_the_reader() -> None:
    assert recognise(b"\xff\xd8\xff" + b"\xe0\x00\x00" * 100_000) is None


@pytest.mark.parametrize(
    ("given", "data", "name"),
    [
        ("screen.png", png(), "screen.png"),
        ("screen.PNG", png(), "screen.PNG"),
        ("screen.exe", png(), "screen.exe.png"),
        ("page.png", HTML, "page.png.txt"),
        ("page.html", HTML, "page.html.txt"),
        ("drawing.svg", SVG, "drawing.svg.txt"),
        ("app.log", LOG, "app.log"),
        ("../../etc/passwd", LOG, "passwd.txt"),
        ("C:\\temp\\dump.zip", zipped(), "dump.zip"),
        ("two\nlines\r\n.txt", LOG, "two lines .txt"),
        ("pay\u202egnp.exe", LOG, "pay\ufffdgnp.exe.txt"),
        ("bell\x07\x00.txt", LOG, "bell\ufffd\ufffd.txt"),
        ("", LOG, "evidence.txt"),
        ("\u200b", LOG, "evidence.txt"),
        (" .. ", LOG, "evidence.txt"),
        ("/", LOG, "evidence.txt"),
        ("größer 日本 🔥.csv", LOG, "größer 日本 🔥.csv"),
        ("x" * 300 + ".log", LOG, "x" * 116 + ".log"),
        ("x" * 300, png(), "x" * 116 + ".png"),
    ],
)
def test_its_name_is_harmless_and_fits_what_it_is(given: str, data: bytes, name: str) -> None:
    found = recognise(data)
    assert found is not None
    assert fitting_name(given, found) == name


# --- attaching ------------------------------------------------------------------------------------


@pytest.fixture
def by(incident: Incident, commander: Actor, now: dt.datetime) -> dict[str, Any]:
    return {"incident_id": incident.pk, "actor": commander, "now": now}


def test_the_timeline_says_what_was_attached_with_its_hash(incident: Incident, by: dict[str, Any]) -> None:
    row = attach_evidence(name="page.png", content=HTML, description="What users saw", **by)
    event = Event.objects.filter(stream=incident.stream).latest("seq")
    assert event.kind == "evidence.attached"
    assert event.summary == "Evidence: page.png.txt (54 bytes): What users saw"
    assert event.data == {
        "incident": incident.ref,
        "evidence": row.pk,
        "name": "page.png.txt",
        "content_type": "text/plain",
        "size": len(HTML),
        "sha256": hashlib.sha256(HTML).hexdigest(),
    }
    assert read_evidence(incident, row.pk) == (row, HTML)


def test_a_large_file_is_kept_in_pieces_and_comes_back_whole(incident: Incident, by: dict[str, Any]) -> None:
    content = b"0123456789abcdef" * (3 * PIECE_BYTES // 16) + b"end"
    row = attach_evidence(name="big.log", content=content, **by)
    assert [len(p.piece) for p in row.pieces.all()] == [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 3]
    assert read_evidence(incident, row.pk)[1] == content
    assert verify_evidence() == (1, [])


def test_what_is_too_much_or_nothing_is_refused_and_leaves_nothing(
    by: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "EVIDENCE_MAX_BYTES", 100)
    monkeypatch.setattr(settings, "EVIDENCE_MAX_PER_INCIDENT", 2)
    with pytest.raises(EvidenceTooLarge, match="at most 100 bytes"):
        attach_evidence(name="a.txt", content=b"x" * 101, **by)
    with pytest.raises(Invalid, match="empty"):
        attach_evidence(name="a.txt", content=b"", **by)
    with pytest.raises(UnknownContent, match="none of PNG"):
        attach_evidence(name="a.png", content=b"\x7fELF\0", **by)
    with pytest.raises(Invalid, match="description"):
        attach_evidence(name="a.txt", content=b"x", description="x" * 501, **by)
    assert not Evidence.objects.exists()
    first = attach_evidence(name="a.txt", content=b"x" * 100, **by)
    with pytest.raises(AlreadyAttached, match=r"already: a\.txt"):
        attach_evidence(name="b.txt", content=b"x" * 100, **by)
    withdraw_evidence(evidence_id=first.pk, reason="a password", **by)
    attach_evidence(name="b.txt", content=b"x" * 100, **by)
    with pytest.raises(TooMuchEvidence):
        attach_evidence(name="c.txt", content=b"c", **by)


def test_who_may_and_on_which_incident(by: dict[str, Any], make_actor: MakeActor, now: dt.datetime) -> None:
    with pytest.raises(NotAllowed):
        attach_evidence(name="a.txt", content=b"x", **by | {"actor": make_actor("vic", "viewer")})
    secret = declare_incident(actor=by["actor"], now=now, title="Leak", severity="P1", restricted=True)
    with pytest.raises(NotFound):
        attach_evidence(
            name="a.txt", content=b"x", **by | {"incident_id": secret.pk, "actor": make_actor("rosa")}
        )
    row = attach_evidence(name="a.txt", content=b"x", **by)
    with pytest.raises(NotFound):
        withdraw_evidence(evidence_id=row.pk, reason="x", **by | {"incident_id": secret.pk})
    resolve_incident(resolution="fixed", **by)
    attach_evidence(name="b.txt", content=b"y", **by)
    publish_report_of(Incident.objects.get(pk=by["incident_id"]), now=by["now"])
    close_incident(**by)
    with pytest.raises(Conflict, match="is closed"):
        attach_evidence(name="c.txt", content=b"z", **by)
    with pytest.raises(Conflict, match="is closed"):
        withdraw_evidence(evidence_id=row.pk, reason="x", **by)


def test_withdrawn_it_is_out_of_sight_and_its_hash_and_reason_stay(
    incident: Incident, by: dict[str, Any], make_actor: MakeActor
) -> None:
    rosa = make_actor("rosa")
    row = attach_evidence(name="a.txt", content=b"a secret", **by)
    with pytest.raises(NotAllowed):
        withdraw_evidence(evidence_id=row.pk, reason="mine", **by | {"actor": rosa})
    with pytest.raises(Invalid, match="reason"):
        withdraw_evidence(evidence_id=row.pk, reason=" ", **by)
    withdraw_evidence(evidence_id=row.pk, reason="a password", **by)
    with pytest.raises(Conflict, match="already"):
        withdraw_evidence(evidence_id=row.pk, reason="again", **by)
    with pytest.raises(NotFound, match="withdrawn"):
        read_evidence(incident, row.pk)
    [line] = evidence_board(by["actor"], incident).lines
    assert (line.url, line.withdraw_url, line.withdrawn_reason, line.sha256) == (
        None,
        None,
        "a password",
        row.sha256,
    )
    event = Event.objects.filter(stream=incident.stream).latest("seq")
    assert (event.kind, event.data["sha256"]) == ("evidence.withdrawn", row.sha256)
    assert verify_evidence() == (1, [])
    own = attach_evidence(name="b.txt", content=b"hers", **by | {"actor": rosa})
    withdraw_evidence(evidence_id=own.pk, reason="wrong incident", **by | {"actor": rosa})


# --- never changed, and proven --------------------------------------------------------------------


def test_the_application_may_not_change_or_delete_any_of_it(by: dict[str, Any]) -> None:
    row = attach_evidence(name="a.txt", content=b"x", **by)
    withdraw_evidence(evidence_id=row.pk, reason="x", **by)
    for model in (Evidence, EvidenceContent, EvidenceWithdrawal):
        column = {"Evidence": "name", "EvidenceContent": "piece", "EvidenceWithdrawal": "reason"}[
            model.__name__
        ]
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            model.objects.update(**{column: b"y" if column == "piece" else "y"})
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            model.objects.all()._raw_delete("default")


TAMPERING = {
    "other bytes": (
        "UPDATE incidents_evidencecontent SET piece = 'y'",
        "its bytes are not those that were attached",
    ),
    "no bytes": ("DELETE FROM incidents_evidencecontent", "its bytes are not those that were attached"),
    "another hash": (
        "UPDATE incidents_evidence SET sha256 = '" + hashlib.sha256(b"y").hexdigest() + "'",
        "the event that attached it says otherwise",
    ),
    "another name": (
        "UPDATE incidents_evidence SET name = 'b.txt'",
        "the event that attached it says otherwise",
    ),
    "gone": ("DELETE FROM incidents_evidencecontent; DELETE FROM incidents_evidence", "is missing"),
    "of no event": (
        "INSERT INTO incidents_evidence (incident_id, name, description, kind, content_type, size, sha256,"
        " attached_at, attached_by) SELECT incident_id, 'c.txt', '', kind, content_type, size, sha256, attached_at,"
        " attached_by FROM incidents_evidence",
        "no event says that it was attached",
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_shows(
    incident: Incident, by: dict[str, Any], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    attach_evidence(name="a.txt", content=b"x", **by)
    call_command("verify_timeline", incident.ref)
    assert "1 piece(s) of evidence the same as attached" in capsys.readouterr().out
    statement, said = TAMPERING[how]

    def tamper() -> None:
        with connection.cursor() as cursor:
            for table in ("incidents_evidence", "incidents_evidencecontent"):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(statement)
            for table in ("incidents_evidence", "incidents_evidencecontent"):
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    run_as_owner(tamper)
    with pytest.raises(CommandError, match=said):
        call_command("verify_timeline")


@pytest.mark.django_db(transaction=True)
def test_not_even_the_owner_changes_it_by_accident(by: dict[str, Any]) -> None:
    attach_evidence(name="a.txt", content=b"x", **by)

    def change() -> None:
        with pytest.raises(ProgrammingError, match="append-only"):
            Evidence.objects.update(name="y")
        with pytest.raises(ProgrammingError, match="append-only"):
            EvidenceContent.objects.all()._raw_delete("default")

    run_as_owner(change)
