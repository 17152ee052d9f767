"""One connection whose metadata is fetched, a store, and whatever a test says came from its URL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.identity_provider import IdentityProvider

from sso_middleware import Event, Settings
from sso_middleware.connections import read_connections
from sso_middleware.errors import MetadataFetchFailed
from sso_middleware.metadata_refresh import MetadataRefresh
from sso_middleware.stores.records import MetadataCopy, Store

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
URL = "https://idp.acme.example/metadata"


def with_valid_until(metadata: str, until: datetime) -> str:
    return metadata.replace("<EntityDescriptor ", f'<EntityDescriptor validUntil="{until:%Y-%m-%dT%H:%M:%SZ}" ', 1)


def url_connection(id: str = "acme", **changes: Any) -> dict[str, Any]:
    """What `settings.connections` holds for one by URL."""
    return {
        "id": id,
        "organization": id.title(),
        "domains": [f"{id}.example"],
        "metadata_url": URL.replace("acme", id),
        **changes,
    }


class Refreshing:
    """`refresh(document)` fetches it; a MetadataFetchFailed in its place is raised. Time is `now`."""

    def __init__(self, store: Store, *connections: dict[str, Any], **settings: Any) -> None:
        self.now = NOW
        self.events: list[Event] = []
        self.asked: list[tuple[str, int]] = []
        self.documents: dict[str, bytes | MetadataFetchFailed] = {}
        values: dict[str, Any] = {
            "base_url": "https://app.example",
            "secret_keys": ["k3Jx0vQm8TzR5nLw2YbHs7UdGc4PfEa1"],
        }
        self.settings = Settings(**values, connections=connections, **settings)
        self.store = store
        declared = read_connections(self.settings, self.now)
        self.refresher = MetadataRefresh(self.settings, declared, store, self._fetch, self.events.append)

    def refresh(self, document: str | bytes | MetadataFetchFailed, id: str = "acme") -> MetadataCopy:
        declared = next(c for c in self.settings.connections if c.id == id)
        self.serve(document, id)
        return self.refresher.refresh(declared, self.now)

    def serve(self, document: str | bytes | MetadataFetchFailed, id: str = "acme") -> None:
        url = str(next(c for c in self.settings.connections if c.id == id).metadata_url)
        self.documents[url] = document.encode() if isinstance(document, str) else document

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.events]

    def _fetch(self, url: str, max_bytes: int) -> bytes:
        self.asked.append((url, max_bytes))
        answer = self.documents.get(url) or MetadataFetchFailed("nobody is there")
        if isinstance(answer, MetadataFetchFailed):
            raise answer
        return answer


def aggregate(*providers: IdentityProvider) -> str:
    inner = "".join(provider.metadata for provider in providers)
    return f'<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">{inner}</EntitiesDescriptor>'
