"""Pages of a release: rendering them and keeping the rendered ones in the site's cache folder."""

from __future__ import annotations

import html
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from string import Template

from demo.storefront.site import Site, read_json, write_json

STOCK_MARK = "<!--stock-->"
RELEASE_MARK = re.compile(r'<meta name="release" content="([^"]*)">')


@dataclass(frozen=True)
class Product:
    id: str
    name: str
    price: str
    text: str


def read_catalogue(release: Path) -> dict[str, Product]:
    """The products a release sells, by id."""
    catalogue = json.loads((release / "catalogue.json").read_text(encoding="utf-8"))
    return {fields["id"]: Product(**fields) for fields in catalogue["products"]}


class Pages:
    """Renders with one release's template; every page says which release rendered it."""

    def __init__(self, release: Path, *, store_name: str, currency: str) -> None:
        self._template = Template((release / "page.html").read_text(encoding="utf-8"))
        self._version = release.name
        self._store_name = store_name
        self._currency = currency

    def page(self, title: str, content: str) -> str:
        """`content` is markup and stays as it is."""
        return self._template.substitute(
            version=self._version,
            store=html.escape(self._store_name),
            title=html.escape(title),
            content=content,
        )

    def home(self, products: dict[str, Product]) -> str:
        first = next(iter(products.values()))
        return self.page(
            self._store_name,
            f"<p>Things that last. This week: {self._link(first)}.</p>",
        )

    def product_list(self, products: dict[str, Product]) -> str:
        lines = (
            f"<li>{self._link(product)}, {html.escape(product.price)} {self._currency}</li>"
            for product in products.values()
        )
        return self.page("Products", f"<ul>{''.join(lines)}</ul>")

    def product(self, product: Product) -> str:
        return self.page(
            product.name,
            f"<p>{html.escape(product.text)}</p><p>{html.escape(product.price)} {self._currency}</p>",
        )

    def _link(self, product: Product) -> str:
        return f'<a href="/product/{product.id}">{html.escape(product.name)}</a>'


class PageCache:
    """Rendered pages on disk, shared by both app servers.

    It is not keyed by release, as many real ones are not: until it is cleared, a page of the
    release before is served by the release after it.
    """

    def __init__(self, site: Site, *, lifetime_seconds: int) -> None:
        self._folder = site.cache
        self._lifetime_seconds = lifetime_seconds

    def get(self, name: str) -> str | None:
        entry = read_json(self._folder / f"{name}.json")
        if entry is None or time.time() - entry["rendered_at"] > self._lifetime_seconds:
            return None
        return str(entry["body"])

    def put(self, name: str, body: str, *, version: str) -> None:
        write_json(
            self._folder / f"{name}.json",
            {"version": version, "rendered_at": time.time(), "body": body},
        )


def clear_cache(site: Site) -> int:
    """Remove every cached page; the number of pages removed."""
    pages = list(site.cache.glob("*.json"))
    for page in pages:
        page.unlink(missing_ok=True)
    return len(pages)
