"""Everything that the flows of one `SSOMiddleware` work with, in one frozen value, and its own URLs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from ..calling import Clock, Pause
from ..connections import Connections
from ..directory import Directory
from ..hooks import Hooks
from ..pages import Pages
from ..settings import Settings
from ..stores.records import Store
from ..stores.sealing import Sealer
from ..stores.sessions import SessionCache
from ..tokens import Tokens
from ..web import Cookie, Request
from .counting import Counters
from .own_keys import OwnKeys


@dataclass(frozen=True, slots=True)
class Site:
    """One protected app: its settings, and what stands behind them."""

    settings: Settings
    connections: Connections
    directory: Directory = field(repr=False)
    """Keeps `connections` up to date, where their metadata is fetched."""
    store: Store = field(repr=False)
    sessions: SessionCache = field(repr=False)
    """What this process remembers of the store's."""
    sealer: Sealer = field(repr=False)
    own_keys: OwnKeys = field(repr=False)
    tokens: Tokens = field(repr=False)
    hooks: Hooks
    pages: Pages
    now: Clock
    pause: Pause = field(repr=False)
    counters: Counters = field(default_factory=Counters, repr=False)
    """This process's own."""
    wake_housekeeping: Callable[[], None] = field(default=lambda: None, repr=False)
    """Mail waits: have it sent soon, where this process does that. Returns at once."""

    def page_url(self, page: str, **query: str) -> str:
        """One of our own pages, such as `login`."""
        text = f"{self.settings.base_url}{self.settings.prefix}/{page}"
        return f"{text}?{urlencode(query, safe='/', quote_via=quote)}" if query else text

    def app_url(self, path: str) -> str:
        """A page of the host's. `path` begins with a slash, so this never leaves our origin."""
        return self.settings.base_url + path

    def cookie_name(self, kind: str) -> str:
        """`__Host-` on https: no other host and no longer path can set it (WEB-002)."""
        return f"{'__Host-' if self.settings.is_secure else ''}{self.settings.name}-{kind}"

    def cookie(self, kind: str, value: str, *, seconds: int | None) -> Cookie:
        return Cookie(self.cookie_name(kind), value, secure=self.settings.is_secure, max_age=seconds)

    def no_cookie(self, kind: str) -> Cookie:
        return self.cookie(kind, "", seconds=0)

    def is_at_home(self, request: Request) -> bool:
        """Whether the browser came to the host name of `base_url`, where our cookies are."""
        return request.host.lower() == self.settings.host
