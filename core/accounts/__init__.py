"""How people sign in and what their session proves; allauth does the work, here we differ from it."""
