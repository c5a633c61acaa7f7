"""`manage.py rotate_encryption_key`: seals every stored secret anew with the first of ENCRYPTION_KEYS."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from core.encryption import NoEncryptionKey, Undecipherable


class Command(BaseCommand):
    help = (
        "Seal every stored secret with the first key of ENCRYPTION_KEYS. To change the key: put the new one "
        "first (NEW,OLD), restart, run this, then take the old one out. Running it twice does no harm."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for path in settings.ENCRYPTED_STORES:
            name, reencrypt_all = path.rsplit(".", 1)[-1], import_string(path)
            try:
                done = reencrypt_all()
            except (NoEncryptionKey, Undecipherable) as error:
                raise CommandError(f"{path}: {error} Nothing of this store was changed.") from error
            self.stdout.write(f"{done} secret(s) sealed anew ({name})")
