"""Where the door of reading pages stood; it is core's, because Firebreak's own page needs it too."""

from core.views.reading import Live, page_query, reading, render_page

__all__ = ["Live", "page_query", "reading", "render_page"]
