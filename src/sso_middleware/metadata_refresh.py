"""Fetch the metadata of connections again, and decide what becomes of it: taken over, held, or refused.

Whoever answers at a metadata_url must not be able to make us trust somebody else. So a document with
none of the keys that we know, or about another entity, waits for a person; and whatever goes wrong,
the last good copy stays. When this runs is housekeeping's and the command line's; never a request's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from .calling import Clock
from .connections import Connections, check_identity_provider, read_signers, shared_issuer
from .directory import fetched_connections, read_copy, read_current
from .egress import Guard, Network
from .errors import ConfigurationError, MetadataFetchFailed, MetadataUnusable, StoreError
from .events import Event
from .faults import stack_of
from .idp_source import FromUrl
from .saml.certificates import fingerprint
from .saml.metadata import IdpMetadata, read_metadata
from .saml.metadata_bytes import MAX_AGGREGATE_BYTES, MAX_BYTES
from .saml.parties import IdentityProvider, PinnedKey
from .settings import ConnectionSettings, Settings
from .stores.records import MetadataCopy, MetadataStamp, Store

log = logging.getLogger("sso_middleware")

Fetch = Callable[[str, int], bytes]
"""The document at this URL, of at most so many bytes. Raises MetadataFetchFailed."""
Tell = Callable[[Event], None]

USUAL_INTERVAL = timedelta(hours=6)
SHORTEST_INTERVAL = timedelta(hours=1)
LONGEST_INTERVAL = timedelta(hours=24)
SHORTEST_RETRY = timedelta(minutes=10)
SHORTEST_RETRY_IF_NOT_READY = timedelta(minutes=1)
"""Nobody can sign in yet: people are waiting."""
LONGEST_RETRY = timedelta(hours=1)
LONGEST_RUN = timedelta(minutes=2)
"""Of one round; what is left waits for the next. Well within housekeeping's lease."""


def make_fetch(guard: Guard) -> Fetch:
    """By HTTP, guarded. Raises ConfigurationError if the extra is not installed."""
    try:
        from .fetching import Fetcher  # noqa: PLC0415 - needs the extra `metadata`
    except ImportError:
        raise ConfigurationError(
            "metadata_url needs an HTTP client that is not installed: pip install 'sso-middleware[metadata]'"
        ) from None
    return Fetcher(guard)


def guard_of(settings: Settings) -> Guard:
    allowed = settings.metadata_hosts_allowed
    return Guard(
        hosts=frozenset(host for host in allowed if isinstance(host, str)),
        networks=tuple(host for host in allowed if isinstance(host, Network)),
        allow_loopback=settings.is_loopback,
    )


@dataclass(frozen=True, slots=True)
class MetadataRefresh:
    """What fetches, keeps and decides, for all connections of one app. Plain methods."""

    settings: Settings
    declared: Connections
    store: Store = field(repr=False)
    fetch: Fetch
    tell: Tell

    def refresh_due(self, clock: Clock) -> None:
        """Fetch all that is due. One that fails is no other's trouble. Raises StoreUnavailable."""
        started = clock()
        stamps = self.store.get_metadata_stamps()
        for id, declared in fetched_connections(self.settings, self.store).items():
            if declared.declared_state != "disabled" and self._is_due(declared, stamps.get(id), clock()):
                self.refresh(declared, clock())
            if clock() - started > LONGEST_RUN:
                break

    def _is_due(self, declared: ConnectionSettings, stamp: MetadataStamp | None, now: datetime) -> bool:
        if stamp is None or stamp.url != _url_of(declared) or stamp.next_fetch_at <= now:
            return True
        if declared.entity_id is None:
            return False
        # Which entity is meant was put right in the settings: the copy is of another one.
        copy = self.store.get_metadata_copy(declared.id)
        is_settled = copy is None or copy.document is None or bool(copy.problem or copy.held)
        return not is_settled and read_copy(copy, declared, now) is None

    def refresh(self, declared: ConnectionSettings, now: datetime) -> MetadataCopy:
        """Fetch now; what is kept afterwards. Its `problem` or `held_reason` says if nothing was taken over."""
        before = self.store.get_metadata_copy(declared.id)
        old = before if before is not None and before.url == _url_of(declared) else None
        known = read_copy(old, declared, now)
        try:
            found = self._fetched(declared, now)
            after, events = _decided(declared, before, old, known, found, now)
        except (MetadataFetchFailed, MetadataUnusable) as error:
            after, events = _failed(declared, before, old, known, error.detail, now)
        except StoreError:
            raise
        except Exception as error:  # what a server far away sent may bring about anything
            # What nobody thought of in one answer must not keep those after it from being fetched, round by round.
            log.error(
                "metadata of connection %r: unexpected %s\n%s", declared.id, type(error).__name__, stack_of(error)
            )
            after, events = _failed(declared, before, old, known, f"unexpected {type(error).__name__}", now)
        if not self.store.put_metadata_copy(after, replaces=before.version if before else None):
            return self.store.get_metadata_copy(declared.id) or after  # somebody else was here at this moment
        for event in events:
            self.tell(event)
        return after

    def describe_held(self, declared: ConnectionSettings, now: datetime) -> tuple[bytes, dict[str, str]]:
        """What is held, and whose it is. Raises MetadataUnusable if nothing is, or if it can't be used any more."""
        before = self._held(declared)
        held = before.held or b""
        found = read_metadata(held, now=now, entity_id=declared.entity_id)
        return held, _described(found, read_copy(before, declared, now))

    def approve(self, declared: ConnectionSettings, held: bytes, now: datetime) -> MetadataCopy:
        """Take over what is held, if that is still `held`. Raises MetadataUnusable as `describe_held` does."""
        before = self._held(declared)
        if before.held != held:
            raise MetadataUnusable("it was changed since you looked at it; look again")
        found = read_metadata(held, now=now, entity_id=declared.entity_id)
        self._check(declared, found.identity_provider, now)
        after = _taken_over(before, found, now)
        return self._put(before, after, _event("metadata_approved", declared, now, _described(found)))

    def reject(self, declared: ConnectionSettings, now: datetime) -> MetadataCopy:
        """Drop what is held, and look again in a day. Raises MetadataUnusable if nothing is held."""
        before = self._held(declared)
        after = replace(before, held=None, held_reason=None, held_at=None, next_fetch_at=now + LONGEST_INTERVAL)
        return self._put(before, after, _event("metadata_rejected", declared, now, {"why": before.held_reason or ""}))

    def _held(self, declared: ConnectionSettings) -> MetadataCopy:
        copy = self.store.get_metadata_copy(declared.id)
        if copy is None or copy.held is None or copy.url != _url_of(declared):
            raise MetadataUnusable(f"no metadata of connection {declared.id!r} is held for approval")
        return copy

    def _put(self, before: MetadataCopy, after: MetadataCopy, event: Event) -> MetadataCopy:
        if not self.store.put_metadata_copy(after, replaces=before.version):
            raise MetadataUnusable("it was changed at this very moment; look again")
        self.tell(event)
        return after

    def _fetched(self, declared: ConnectionSettings, now: datetime) -> IdpMetadata:
        # Only where one of many is named, many may come.
        max_bytes = MAX_BYTES if declared.entity_id is None else MAX_AGGREGATE_BYTES
        xml = self.fetch(_url_of(declared), max_bytes)
        found = read_metadata(xml, now=now, entity_id=declared.entity_id, signed_by=read_signers(declared))
        self._check(declared, found.identity_provider, now)
        # What is kept must be as good when it is read again, or it would take the last good copy's place for nothing.
        kept = read_metadata(found.document, now=now, entity_id=declared.entity_id)
        if kept.identity_provider != found.identity_provider:
            raise MetadataUnusable("what would be kept of it says something else")
        return found

    def _check(self, declared: ConnectionSettings, identity_provider: IdentityProvider, now: datetime) -> None:
        check_identity_provider(identity_provider, self.settings)
        connections = read_current(self.settings, self.declared, self.store, now)
        connection = connections.get(declared.id)
        problem = connection and shared_issuer(connection, identity_provider, connections)
        if problem:
            raise MetadataUnusable(problem)


def why_hold(known: IdentityProvider | None, found: IdpMetadata, declared: ConnectionSettings, now: datetime) -> str:
    """Why this is not taken over without a person's word; empty: it is."""
    new = found.identity_provider
    if known is not None and known.entity_id != new.entity_id:
        return f"it describes another entity: {new.entity_id}, where {known.entity_id} was known"  # MDT-006
    if known is not None and not _kept(known.keys, new.keys):
        return "none of its signing keys is one that we know"  # MDT-007
    # Kantara IIP-MD06: without an end, whoever withholds newer metadata makes an old one last for ever.
    longest = declared.metadata_max_validity
    if longest is not None and found.valid_until is None:
        return "it has no validUntil, and metadata_max_validity asks for one"
    if longest is not None and found.valid_until is not None and found.valid_until > now + longest:
        return f"its validUntil, {found.valid_until:%Y-%m-%d}, is further ahead than metadata_max_validity allows"
    return ""


def next_fetch(found: IdpMetadata, now: datetime) -> datetime:
    """By cacheDuration, and in time before validUntil (SAML metadata 2.3.1)."""
    interval = min(max(found.cache_duration or USUAL_INTERVAL, SHORTEST_INTERVAL), LONGEST_INTERVAL)
    if found.valid_until is not None:
        interval = min(interval, max((found.valid_until - now) / 2, SHORTEST_RETRY))
    return now + interval


def _failed(
    declared: ConnectionSettings,
    before: MetadataCopy | None,
    old: MetadataCopy | None,
    known: IdpMetadata | None,
    problem: str,
    now: datetime,
) -> tuple[MetadataCopy, list[Event]]:
    after = replace(_attempted(declared, before, old, now), problem=problem)
    shortest = SHORTEST_RETRY if known is not None else SHORTEST_RETRY_IF_NOT_READY
    waited = now - old.attempted_at if old is not None and old.attempted_at and old.problem else timedelta(0)
    after = replace(after, next_fetch_at=now + min(max(2 * waited, shortest), LONGEST_RETRY))
    # Told once, not at each try: a metadata server may be away for days.
    is_new = old is None or old.problem is None
    return after, [_event("metadata_fetch_failed", declared, now, {"why": problem})] if is_new else []


def _decided(
    declared: ConnectionSettings,
    before: MetadataCopy | None,
    old: MetadataCopy | None,
    known: IdpMetadata | None,
    found: IdpMetadata,
    now: datetime,
) -> tuple[MetadataCopy, list[Event]]:
    copy = replace(_attempted(declared, before, old, now), problem=None, next_fetch_at=next_fetch(found, now))
    try:
        reason = why_hold(_last_known(old, known, declared), found, declared, now)
    except MetadataUnusable:
        reason = "the last good copy can't be read by this version any more, so its keys can't be compared"
    if reason:
        is_new = copy.held != found.document
        held = replace(copy, held=found.document, held_reason=reason, held_at=now if is_new else copy.held_at)
        return held, [_event("metadata_held", declared, now, {"why": reason, **_described(found)})] if is_new else []
    after = _taken_over(copy, found, now)
    if known is not None and known.identity_provider == found.identity_provider:
        return after, []
    return after, [_event("metadata_taken_over", declared, now, _described(found, known))]


def _last_known(
    old: MetadataCopy | None, known: IdpMetadata | None, declared: ConnectionSettings
) -> IdentityProvider | None:
    """Whom we trusted last, even if that copy is void by now: who waits for that must not get in as the first.

    Not one that the settings no longer name.
    """
    if known is not None or old is None or old.document is None:
        return None if known is None else known.identity_provider
    last = read_metadata(old.document, now=datetime.min.replace(tzinfo=old.next_fetch_at.tzinfo)).identity_provider
    return last if declared.entity_id in (None, last.entity_id) else None


def _attempted(
    declared: ConnectionSettings, before: MetadataCopy | None, old: MetadataCopy | None, now: datetime
) -> MetadataCopy:
    """The copy to go on from: of another URL nothing is kept but the count."""
    if old is not None:
        return replace(old, attempted_at=now)
    return MetadataCopy(
        connection_id=declared.id,
        url=_url_of(declared),
        document=None,
        version=before.version + 1 if before else 0,
        fetched_at=None,
        attempted_at=now,
        next_fetch_at=now,
        problem=None,
        held=None,
        held_reason=None,
        held_at=None,
    )


def _taken_over(copy: MetadataCopy, found: IdpMetadata, now: datetime) -> MetadataCopy:
    return replace(
        copy,
        document=found.document,
        version=copy.version + (copy.document != found.document),
        fetched_at=now,
        next_fetch_at=next_fetch(found, now),
        problem=None,
        held=None,
        held_reason=None,
        held_at=None,
    )


def _described(found: IdpMetadata, known: IdpMetadata | None = None) -> dict[str, str]:
    """For the person who reads the event: whose keys these are, and which of them are new or gone."""
    new = found.identity_provider
    told = {"entity_id": new.entity_id, "sso_url": new.sso.location, "keys": _fingerprints(new.keys)}
    if known is not None:
        old = known.identity_provider
        told["new_keys"] = _fingerprints(key for key in new.keys if not _kept([key], old.keys))
        told["gone_keys"] = _fingerprints(key for key in old.keys if not _kept([key], new.keys))
    if found.valid_until is None:
        told["valid_until"] = "not said"
    return told


def _kept(before: Iterable[PinnedKey], after: Iterable[PinnedKey]) -> bool:
    """Whether a key is in both. A certificate that was renewed for the same key is the same key."""
    kept = [key.public_key for key in after]
    return any(key.public_key in kept for key in before)


def _fingerprints(keys: Iterable[PinnedKey]) -> str:
    return ", ".join(fingerprint(key.certificate) for key in keys)


def _event(code: str, declared: ConnectionSettings, now: datetime, detail: dict[str, str]) -> Event:
    return Event(code=code, at=now, connection_id=declared.id, detail={k: v[:500] for k, v in detail.items()})


def _url_of(declared: ConnectionSettings) -> str:
    source = declared.source
    assert isinstance(source, FromUrl)  # noqa: S101 - `fetched_connections` gives no other
    return source.url
