"""Steady real traffic: shoppers that browse, buy and log in through the load balancer."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Self

from demo.storefront.browser import Answered, Browser
from demo.storefront.pages import read_catalogue
from demo.storefront.site import Site

SHOPPERS = 4


class Traffic:
    """About `requests_per_second` requests, from a few shoppers at once, until left."""

    def __init__(self, site: Site, port: int, *, requests_per_second: float) -> None:
        self._site = site
        self._port = port
        self._pause_seconds = SHOPPERS / requests_per_second
        self._closing = threading.Event()
        self._shoppers = [
            threading.Thread(target=self._shop, name=f"shopper-{number}", daemon=True)
            for number in range(SHOPPERS)
        ]

    def __enter__(self) -> Self:
        for shopper in self._shoppers:
            shopper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()

    def _shop(self) -> None:
        # Shoppers begin apart, so that requests are spread over the second.
        self._closing.wait(random.random() * self._pause_seconds)  # noqa: S311
        while True:
            for _ in self._visit():
                if self._closing.wait(self._pause_seconds * random.uniform(0.5, 1.5)):  # noqa: S311
                    return

    def _visit(self) -> Iterator[Answered]:
        """One visit, a request at a time; a page that fails does not end it."""
        browser = Browser(self._port)
        products = list(read_catalogue(self._site.current.resolve()))
        yield browser.get("/")
        yield browser.get("/products")
        for product in random.sample(products, k=2):
            yield browser.get(f"/product/{product}")
            yield browser.post("/cart", {"product": product})
        yield browser.post("/checkout")
        yield browser.log_in(self._site)
        yield browser.get("/account")
        yield browser.post("/logout")
