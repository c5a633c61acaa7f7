"""`make bench`: how fast Firebreak is, beside what the same machine allows at most."""
