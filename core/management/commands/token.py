"""`manage.py token create|revoke|list`: tokens of the API from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.actors import COMMAND_LINE
from core.clock import utcnow
from core.errors import FirebreakError
from core.models import ApiToken
from core.models.accounts import SCOPES
from core.services.tokens import DEFAULT_DAYS, LONGEST_DAYS, issue_token, revoke_token


class Command(BaseCommand):
    help = "Create, revoke or list API tokens. `create` prints the token alone on its line."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create")
        create.add_argument("--user", required=True)
        create.add_argument("--name", required=True)
        create.add_argument("--scope", action="append", required=True, choices=SCOPES)
        create.add_argument("--days", type=int, default=DEFAULT_DAYS, help=f"1 to {LONGEST_DAYS}")
        verbs.add_parser("revoke").add_argument("id", help="as `list` shows it; a whole token works too")
        verbs.add_parser("list").add_argument("--user")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["verb"])(options)
        except FirebreakError as error:
            raise CommandError(error.message) from error

    def create(self, options: dict[str, Any]) -> None:
        _token, text = issue_token(
            username=options["user"],
            name=options["name"],
            scopes=options["scope"],
            days=options["days"],
            actor=COMMAND_LINE,
            now=utcnow(),
        )
        self.stdout.write(text)

    def revoke(self, options: dict[str, Any]) -> None:
        given = options["id"].split("_")  # fb_<id>_<secret>, as somebody found it in a log
        token = revoke_token(
            token_id=given[1] if len(given) > 2 else given[0], actor=COMMAND_LINE, now=utcnow()
        )
        self.stdout.write(f"{token.pk} is revoked")

    def list(self, options: dict[str, Any]) -> None:
        now = utcnow()
        tokens = ApiToken.objects.select_related("user")
        if options["user"]:
            tokens = tokens.filter(user__username=options["user"])
        for token in tokens.iterator():
            ended = "revoked" if token.revoked_at else "expired" if token.expires_at <= now else "unusable"
            used = f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never"
            self.stdout.write(
                f"{token.pk}  {token.user}  {token.name}  {','.join(token.scopes)}"
                f"  {'usable' if token.is_usable(now) else ended}"
                f"  expires {token.expires_at:%Y-%m-%d}  used {used}"
            )
