"""Sending due deliveries: intent committed, message sent, outcome committed."""

from comms.deliveries.lanes import send_due_deliveries

__all__ = ["send_due_deliveries"]
