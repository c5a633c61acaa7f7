"""The ceiling: bare views of the same shape, from the same table, behind the same server. No login, no filters."""
