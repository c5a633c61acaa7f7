"""`manage.py first_administrator`: creates `admin` with a generated password, once."""

import secrets
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand
from django.db import transaction

from core.models import User


class Command(BaseCommand):
    help = "Create the account admin if there is no account yet, and print its generated password once."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.exists():
            return
        password = secrets.token_urlsafe(15)
        user = User.objects.create_superuser("admin", password=password)
        user.groups.add(Group.objects.get(name="administrator"))
        self.stdout.write("\n  The first administrator was created. This is shown only once:")
        self.stdout.write(f"    username: admin\n    password: {password}\n")
