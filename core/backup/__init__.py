"""Backups of the database with the playbook beside it, and proving that one can be restored."""
