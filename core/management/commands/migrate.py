"""`manage.py migrate`, as the owner of the tables, followed by what the application's role may do."""

from typing import Any

from django.conf import settings
from django.core.management.commands.migrate import Command as DjangoMigrate

from core.database_roles import grant_application_role


class Command(DjangoMigrate):
    help = "Migrate as DATABASE_OWNER_URL and grant the application's role its rights."

    def handle(self, *args: Any, **options: Any) -> None:
        owner_differs = settings.DATABASES["owner"].get("USER") != settings.DATABASES["default"].get("USER")
        if options["database"] == "default" and owner_differs:
            options["database"] = "owner"
        super().handle(*args, **options)
        grant_application_role(options["database"])
