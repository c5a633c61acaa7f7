"""`manage.py token create|revoke|list`: API tokens from the command line."""

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.clock import utcnow
from core.models import ApiToken, User
from core.models.accounts import SCOPES


class Command(BaseCommand):
    help = "Create, revoke or list API tokens. `create` prints the token alone on its line."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create")
        create.add_argument("--user", required=True)
        create.add_argument("--name", required=True)
        create.add_argument("--scope", action="append", required=True, choices=SCOPES)
        create.add_argument("--days", type=int, default=90)
        verbs.add_parser("revoke").add_argument("id")
        verbs.add_parser("list")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, options["verb"])(options)

    def create(self, options: dict[str, Any]) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"no account {options['user']}")
        if not 1 <= options["days"] <= 3650:
            raise CommandError("--days must lie between 1 and 3650")
        _token, text = ApiToken.issue(
            user=user,
            name=options["name"],
            scopes=sorted(set(options["scope"])),
            expires_at=utcnow() + dt.timedelta(days=options["days"]),
        )
        self.stdout.write(text)

    def revoke(self, options: dict[str, Any]) -> None:
        if not ApiToken.objects.filter(pk=options["id"], revoked_at=None).update(revoked_at=utcnow()):
            raise CommandError(f"no token {options['id']} that is not revoked")
        self.stdout.write(f"{options['id']} is revoked")

    def list(self, options: dict[str, Any]) -> None:
        now = utcnow()
        for token in ApiToken.objects.select_related("user"):
            state = "usable" if token.is_usable(now) else "unusable"
            used = f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never"
            self.stdout.write(
                f"{token.pk}  {token.user}  {token.name}  {','.join(token.scopes)}  {state}"
                f"  expires {token.expires_at:%Y-%m-%d}  used {used}"
            )
