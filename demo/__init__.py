"""A small real storefront that Firebreak watches, breaks and rolls back."""
