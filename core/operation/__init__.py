"""Firebreak itself: who works, what is overdue, what is wrong, and telling the outside."""
