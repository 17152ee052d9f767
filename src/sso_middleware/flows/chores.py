"""What housekeeping does besides deleting: mail, fetching metadata, warning of what ends and of what is left open.

When, and by which process, is housekeeping's to say; each chore decides for itself what is due.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

from ..calling import call_blocking, run
from ..certificate_expiry import warn_of_certificates
from ..connection import Connection
from ..directory import fetched_connections, read_current
from ..events import Event
from ..housekeeping import Chore
from ..metadata_refresh import Fetch, MetadataRefresh, guard_of, make_fetch
from ..settings import Settings
from ..stores.records import Store
from .dated_exceptions import tell_of_open_exceptions
from .enforcement_notices import tell_of_enforcement
from .reporting import record
from .sending import send_due_mail
from .site import Site

_BATCHES = 200
"""Of events, in one run."""
_TROUBLE = {
    "metadata_fetch_failed",
    "metadata_held",
    "idp_certificate_expiring",
    "own_certificate_expiring",
    "exception_open",
    "enforcement_off",
    "exclusive_connection_disabled",
}


def chores_of(site: Site) -> Sequence[Chore]:
    return (
        *urgent_chores_of(site),
        partial(_refresh_metadata, site),
        partial(_warn_of_certificates, site),
        partial(_tell_of_exceptions, site),
        partial(_tell_of_enforcement, site),
        partial(_forget_events, site),
    )


def urgent_chores_of(site: Site) -> Sequence[Chore]:
    """What somebody waits for, somewhere: done as soon as there is something to do."""
    return (partial(_send_mail, site),)


def check_chores(settings: Settings) -> None:
    """Whether this process could do them. Raises ConfigurationError if a package is missing."""
    if fetched_connections(settings):
        make_fetch(guard_of(settings))


def metadata_refresh(site: Site, fetch: Fetch, store: Store | None = None) -> MetadataRefresh:
    """What fetches for this app. `store` is the site's, if that is a plain one."""
    return MetadataRefresh(site.settings, site.directory.declared, store or site.store, fetch, partial(tell, site))


def tell(site: Site, event: Event) -> None:
    """Record an event that no request brought about."""
    level = logging.WARNING if event.code in _TROUBLE else logging.INFO
    run(record(site, call_blocking, event, level))


def _refresh_metadata(site: Site) -> None:
    if fetched_connections(site.settings, site.store):
        metadata_refresh(site, make_fetch(guard_of(site.settings))).refresh_due(site.now)


def _send_mail(site: Site) -> None:
    run(send_due_mail(site, call_blocking))


def _warn_of_certificates(site: Site) -> None:
    now = site.now()
    # Once an hour, whichever process it is: to read every certificate of a thousand connections takes a second.
    if not site.store.claim_notice(f"certificates looked at {now:%Y-%m-%d %H}", now + timedelta(hours=2)):
        return
    connections = read_current(site.settings, site.directory.declared, site.store, now)
    enabled = [connection for connection in connections if connection.enabled]
    warn_of_certificates(enabled, _own_certificates(site, enabled), site.store, partial(tell, site), now)


def _tell_of_exceptions(site: Site) -> None:
    tell_of_open_exceptions(site.settings, site.store, partial(tell, site), site.now())


def _tell_of_enforcement(site: Site) -> None:
    now = site.now()
    read = partial(read_current, site.settings, site.directory.declared, site.store, now)
    tell_of_enforcement(site.settings, read, site.store.claim_notice, partial(tell, site), now)


def _forget_events(site: Site) -> None:
    """Those that are older than `event_retention`, some at a time."""
    before = site.now() - site.settings.event_retention
    for _ in range(_BATCHES):
        if not site.store.delete_events(before):
            break


def _own_certificates(site: Site, enabled: Sequence[Connection]) -> Iterator[str]:
    if enabled:  # else there may be no key yet, and none is made for this
        yield from site.own_keys.published("signing", site.now())
    if any(connection.encryption != "off" for connection in enabled):
        yield from site.own_keys.published("encryption", site.now())
