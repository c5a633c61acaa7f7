"""Where messages go until their channel is set up: lines of a file under VAR_DIR, one file a channel."""

from __future__ import annotations

import json

from django.conf import settings

from comms.facts import NotSent, Outgoing, Sent


def keep(message: Outgoing, channel: str) -> Sent:
    """Append the message to `$VAR_DIR/outbox/<channel>.jsonl`; raises NotSent when the disk refuses."""
    folder = settings.VAR_DIR / "outbox"
    line = {
        "key": message.key,
        "recipient": message.recipient,
        "event": message.event_kind,
        "occurred_at": message.occurred_at,
        "incident": message.incident or None,
        "rollback": message.rollback or None,
        "subject": message.subject,
        "body": message.body,
        "short": message.short,
        "link": message.link or None,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / f"{channel}.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise NotSent(f"cannot write {folder}: {error.strerror}") from error
    return Sent(receipt=f"kept in outbox/{channel}.jsonl: the channel is not set up")
