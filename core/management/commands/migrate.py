"""`manage.py migrate`, as the owner of the tables, followed by what the application's role may do."""

from typing import Any

from django.conf import settings
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import connections

from core.database_roles import grant_application_role, grant_future_tables


class Command(DjangoMigrate):
    help = "Migrate as DATABASE_OWNER_URL and grant the application's role its rights."

    def handle(self, *args: Any, **options: Any) -> None:
        role = settings.DATABASES["default"].get("USER")
        has_owner = settings.DATABASES["owner"].get("USER") != role
        if options["database"] == "default" and has_owner:
            options["database"] = "owner"
        if role and has_owner and options["database"] == "owner":
            grant_future_tables(connections["owner"], role)
        super().handle(*args, **options)
        if role and has_owner and options["database"] == "owner":
            grant_application_role(connections["owner"], role)
