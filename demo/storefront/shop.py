"""The shop itself: one release and its configuration, answering one request at a time."""

from __future__ import annotations

import hmac
import html
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from demo.storefront import configuration
from demo.storefront.pages import STOCK_MARK, PageCache, Pages, read_catalogue
from demo.storefront.restrictions import Restrictions
from demo.storefront.sessions import Session, seal, unseal
from demo.storefront.site import Site, StorefrontError, read_json
from demo.storefront.watched import WatchedJson

SHOPPER = "ada"
STOCK_KEPT_SECONDS = 5.0


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    session: Session = field(default_factory=Session)
    form: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """`session` is set where the shopper's cookie changes."""

    body: str
    status: HTTPStatus = HTTPStatus.OK
    session: Session | None = None
    content_type: str = "text/html; charset=utf-8"


class Inventory:
    """Stock levels; the warehouses are asked in turn, so that none carries all the load."""

    def __init__(self, release: Path, warehouses: list[str]) -> None:
        self._folder = release / "stock"
        self._next = itertools.cycle(warehouses)
        self._kept: tuple[float, dict[str, int]] | None = None

    def recent_stock(self) -> dict[str, int]:
        """As `stock`, but no warehouse is asked more than once in five seconds."""
        if self._kept is None or time.monotonic() - self._kept[0] > STOCK_KEPT_SECONDS:
            self._kept = (time.monotonic(), self.stock())
        return self._kept[1]

    def stock(self) -> dict[str, int]:
        """Pieces by product id in the warehouse whose turn it is."""
        file = self._folder / f"{next(self._next)}.json"
        stock: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
        return stock


class Shop:
    """What `current` points to when the shop opens; a later switch does not reach it."""

    def __init__(self, site: Site) -> None:
        self.version = site.current_version()
        release = site.releases / self.version
        self.config_hash = configuration.live_hash(site)
        config = configuration.read_live(site)
        self.memory_limit_bytes = int(config["memory_limit_mb"]) * 1024 * 1024
        self._session_seconds = int(config["session_seconds"])
        self._secrets = _read_secrets(site)
        self._products = read_catalogue(release)
        self._pages = Pages(release, store_name=config["store_name"], currency=config["currency"])
        self._cache = PageCache(site, lifetime_seconds=int(config["cache_seconds"]))
        self._inventory = Inventory(release, _read_warehouses(release))
        self._restrictions = Restrictions(site)
        self._performance_mode = WatchedJson(site.performance_mode)

    @property
    def is_in_performance_mode(self) -> bool:
        return self._performance_mode.read() is not None

    def answer(self, request: Request) -> Response:
        """The page for a request; whatever the release does wrong is raised."""
        if request.session.user and self._restrictions.refuses_account(request.session.user):
            request = replace(request, session=Session())
        inventory = self._inventory
        stock = inventory.recent_stock() if self.is_in_performance_mode else inventory.stock()
        response = self._route(request, stock)
        in_stock = sum(1 for pieces in stock.values() if pieces)
        return replace(response, body=response.body.replace(STOCK_MARK, f"{in_stock} products in stock"))

    def open_session(self, cookie: str) -> Session:
        """The session in a cookie; raises `SessionForged`."""
        return unseal(cookie, key=self._secrets["session_key"])

    def seal_session(self, session: Session) -> str:
        return seal(session, key=self._secrets["session_key"], lifetime_seconds=self._session_seconds)

    def _route(self, request: Request, stock: dict[str, int]) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                return self._cached("home", lambda: self._pages.home(self._products))
            case "GET", ["products"]:
                return self._cached("products", lambda: self._pages.product_list(self._products))
            case "GET", ["catalogue.json"]:
                return self._catalogue()
            case "GET", ["product", product_id] if product_id in self._products:
                product = self._products[product_id]
                return self._cached(f"product-{product_id}", lambda: self._pages.product(product))
            case "POST", ["cart"]:
                return self._add_to_cart(request, stock)
            case "POST", ["checkout"]:
                return self._check_out(request, stock)
            case "POST", ["login"]:
                return self._log_in(request)
            case "GET", ["account"]:
                return self._account(request)
            case "POST", ["logout"]:
                return Response(self._pages.page("Goodbye", ""), session=Session())
        return self._message("Not found", HTTPStatus.NOT_FOUND)

    def _cached(self, name: str, render: Callable[[], str]) -> Response:
        body = self._cache.get(name)
        if body is None:
            body = render()
            self._cache.put(name, body, version=self.version)
        return Response(body)

    def _catalogue(self) -> Response:
        products = [asdict(product) for product in self._products.values()]
        body = json.dumps({"release": self.version, "products": products})
        return Response(body, content_type="application/json")

    def _add_to_cart(self, request: Request, stock: dict[str, int]) -> Response:
        product_id = request.form.get("product", "")
        if product_id not in self._products:
            return self._message("No such product", HTTPStatus.NOT_FOUND)
        if not stock[product_id]:
            return self._message("Sold out", HTTPStatus.CONFLICT)
        session = replace(request.session, cart=(*request.session.cart[-9:], product_id))
        return Response(self._pages.page(f"{len(session.cart)} in the cart", ""), session=session)

    def _check_out(self, request: Request, stock: dict[str, int]) -> Response:
        cart = request.session.cart
        if not cart:
            return self._message("The cart is empty", HTTPStatus.CONFLICT)
        if any(not stock[product_id] for product_id in cart):
            return self._message("Sold out", HTTPStatus.CONFLICT)
        return Response(
            self._pages.page("Thank you", f"<p>{len(cart)} pieces are on their way.</p>"),
            session=replace(request.session, cart=()),
        )

    def _log_in(self, request: Request) -> Response:
        user, password = request.form.get("user", ""), request.form.get("password", "")
        if not self._is_password_of(user, password):
            return self._message("Wrong name or password", HTTPStatus.UNAUTHORIZED)
        if self._restrictions.refuses_account(user):
            return self._message("This account is disabled", HTTPStatus.FORBIDDEN)
        session = replace(request.session, user=user)
        return Response(self._pages.page("Welcome back", ""), session=session)

    def _is_password_of(self, user: str, password: str) -> bool:
        known = {SHOPPER: self._secrets["shopper_password"], **self._secrets.get("passwords", {})}
        return user in known and hmac.compare_digest(password.encode(), known[user].encode())

    def _account(self, request: Request) -> Response:
        if request.session.user is None:
            return self._message("Please log in", HTTPStatus.UNAUTHORIZED)
        return Response(self._pages.page("Your account", f"<p>{html.escape(request.session.user)}</p>"))

    def _message(self, text: str, status: HTTPStatus) -> Response:
        return Response(self._pages.page(text, ""), status)


def _read_secrets(site: Site) -> dict[str, Any]:
    kept = read_json(site.secrets)
    if kept is None:
        raise StorefrontError(f"{site.secrets} is missing")
    return kept


def _read_warehouses(release: Path) -> list[str]:
    description = read_json(release / "release.json")
    if description is None:
        raise StorefrontError(f"release {release.name} has no release.json")
    return list(description["warehouses"])
