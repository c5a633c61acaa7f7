"""The afternoon of the pages, for tests that look at all of Firebreak."""

from tests.pages.conftest import afternoon, ida

__all__ = ["afternoon", "ida"]
