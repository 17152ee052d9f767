"""What settings may not be together, each rule a function of the settings that it names.

A rule yields its problems in words that say what to do. It is asked only if all the settings that it
names are valid by themselves, so that every problem is told at once. Rules over one value are
`setting_values`'s.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from .idp_source import FromUrl
from .language_rules import languages_are_there
from .mail_settings import smtp_has_a_sender
from .role_settings import protected_roles_are_roles, role_mappings_fit
from .setting_problems import MAKE_A_KEY
from .setting_values import path_of_link, read_url
from .timeout_rules import connection_timeouts_are_in_order, timeouts_are_in_order

if TYPE_CHECKING:
    from .settings import ConnectionSettings, InterceptSettings

Problems = Iterator[str]

SHORTEST_SECRET_KEY = 32
_LEAST_BITS_A_CHARACTER = 2.8  # random hexadecimal digits, 32 of them, have 3.0 to 3.9
_EXAMPLE_WORDS = (
    "changeme",
    "default",
    "dummy",
    "example",
    "goeshere",
    "insecure",
    "newestsigns",
    "password",
    "placeholder",
    "putyour",
    "replace",
    "secret",
    "yourkey",
)


def problems_of(rules: Sequence[Callable[..., Problems]], values: Mapping[str, Any]) -> Iterator[str]:
    """Ask each rule whose settings are all there."""
    for rule in rules:
        names = inspect.signature(rule).parameters
        if all(name in values for name in names):
            yield from rule(**{name: values[name] for name in names})


def own_acs_path(prefix: str, connection_id: str, *, shared_acs: bool) -> str:
    """Where a connection's Responses go unless it has other addresses."""
    return f"{prefix}/acs" if shared_acs else f"{prefix}/{connection_id}/acs"


def is_below(path: str, *prefixes: str) -> bool:
    """Whether a plain path is, or lies below, one of these; by whole segments, a trailing slash aside."""
    return any(f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes)


# Settings


def _secret_keys_are_secret(secret_keys: tuple[SecretStr, ...], demo: bool) -> Problems:
    if not secret_keys:
        yield f"secret_keys: is empty; give at least one key: {MAKE_A_KEY}"
    texts = [key.get_secret_value() for key in secret_keys]
    if len(set(texts)) != len(texts):
        yield "secret_keys: holds the same key twice; take one of them out"
    for index, text in enumerate(texts):
        if (weakness := _weakness(text)) and not (demo and text):
            yield f"secret_keys[{index}]: {weakness}; {MAKE_A_KEY}"


def _weakness(text: str) -> str | None:
    if len(text) < SHORTEST_SECRET_KEY:
        return f"has {len(text)} characters, and must have at least {SHORTEST_SECRET_KEY}"
    letters = "".join(filter(str.isalnum, text.lower()))
    if any(word in letters for word in _EXAMPLE_WORDS):
        return "looks like an example or a default"
    if _period(text) <= len(text) // 2:
        return "repeats itself"
    steps = Counter(ord(after) - ord(before) for before, after in pairwise(text))
    if steps.most_common(1)[0][1] > len(text) // 2:
        return "is a row of characters"
    if _bits_a_character(text) < _LEAST_BITS_A_CHARACTER:
        return "uses too few different characters"
    return None


def _period(text: str) -> int:
    """The shortest piece that, repeated (and cut off), gives this text."""
    return next(size for size in range(1, len(text) + 1) if text[size:] == text[:-size])


def _bits_a_character(text: str) -> float:
    counts = Counter(text).values()
    return -sum(count / len(text) * log2(count / len(text)) for count in counts)


def _demo_is_on_loopback(demo: bool, base_url: str) -> Problems:
    if demo and not read_url(base_url).is_loopback:
        yield "demo: accepts weak keys, so it is for a loopback base_url only; remove it"


def _something_is_protected(protect: tuple[str, ...], public: tuple[str, ...]) -> Problems:
    if not protect:
        yield 'protect: is empty, so nothing would be protected; the default is ["/"]'
    for path in protect:
        if is_below(path, *public):
            yield f"protect: {path!r} never takes effect, because public wins over it; take it out of one of the two"


def _our_pages_are_ours(prefix: str, public: tuple[str, ...], cors: tuple[str, ...]) -> Problems:
    for name, paths in (("public", public), ("cors", cors)):
        for path in paths:
            if is_below(path, prefix):
                yield f"{name}: {path!r} lies within our own pages ({prefix}), which decide for themselves; take it out"
            elif path != "/" and is_below(prefix, path):
                yield f"prefix: {prefix!r} lies within {path!r} of {name}; choose a prefix outside of it"


def _local_login_can_be_reached(
    *,
    mode: str,
    local_login_url: str | None,
    base_url: str,
    prefix: str,
    protect: tuple[str, ...],
    public: tuple[str, ...],
) -> Problems:
    path = _path_below(base_url, local_login_url)
    if path is None:
        return
    is_protected = is_below(path.casefold(), *map(str.casefold, protect)) and not is_below(path, *public)
    if is_below(path, prefix):
        yield f"local_login_url: lies within our own pages ({prefix}); give the page of your own login"
    elif mode == "everyone" and is_protected:
        yield 'local_login_url: is a protected path, so nobody could reach it (mode is "everyone"); add it to public'


def _path_below(base_url: str, link: str | None) -> str | None:
    """The path below our mount that this link leads to; None if it leads elsewhere."""
    if link is None or link.startswith("/"):
        return link and path_of_link(link)
    home, url = read_url(base_url), read_url(link)
    if url.origin != home.origin or not is_below(url.path, home.path):
        return None
    return url.path.removeprefix(home.path) or "/"


def _shared_entity_id_is_shared(shared_acs: bool, sp_entity_id: str | None) -> Problems:
    if sp_entity_id is not None and not shared_acs:
        yield "sp_entity_id: is one entity id for all connections, which needs shared_acs = true"


def _metadata_comes_by_https(base_url: str, connections: tuple[ConnectionSettings, ...]) -> Problems:
    for connection in connections:
        url = connection.source.url if isinstance(connection.source, FromUrl) else ""
        if url.startswith("http://") and not (read_url(base_url).is_loopback and read_url(url).is_loopback):
            yield (
                f"connections[{connection.id}].metadata_url: must begin with https:// (http:// is for this very"
                " machine, while base_url is on loopback)"
            )


def _signing_key_has_its_certificate(signing_key: SecretStr | None, signing_certificate: str | None) -> Problems:
    yield from _both_or_neither("signing_key", signing_key, "signing_certificate", signing_certificate)


def _encryption_key_has_its_certificate(
    encryption_key: SecretStr | None, encryption_certificate: str | None
) -> Problems:
    yield from _both_or_neither("encryption_key", encryption_key, "encryption_certificate", encryption_certificate)


def _rollover_goes_with_its_key(
    *,
    signing_key: SecretStr | None,
    next_signing_certificate: str | None,
    encryption_key: SecretStr | None,
    older_encryption_keys: tuple[SecretStr, ...],
) -> Problems:
    by_command = "a key that was made here is rolled over by `sso-middleware keys`"
    if next_signing_certificate is not None and signing_key is None:
        yield f"next_signing_certificate: goes with signing_key, which is not given; {by_command}"
    if older_encryption_keys and encryption_key is None:
        yield f"older_encryption_keys: go with encryption_key, which is not given; {by_command}"


def _both_or_neither(name: str, value: object, other_name: str, other: object) -> Problems:
    if (value is None) != (other is None):
        given, missing = (name, other_name) if other is None else (other_name, name)
        yield f"{missing}: is missing; give both {given} and {missing}, or neither (then a key is made at first use)"


def _connections_are_distinct(connections: tuple[ConnectionSettings, ...]) -> Problems:
    for connection_id, count in Counter(connection.id for connection in connections).items():
        if count > 1:
            yield f"connections: {count} of them have the id {connection_id!r}; give each its own"
    owners: dict[str, str] = {}
    for connection in connections:
        for domain in connection.named_domains:
            if owners.get(domain, connection.id) != connection.id:
                yield (
                    f"connections: the domain {domain!r} is listed by {owners[domain]!r} and by {connection.id!r};"
                    " a domain belongs to one connection"
                )
            owners.setdefault(domain, connection.id)


def _acs_paths_are_their_own(
    *,
    prefix: str,
    base_url: str,
    local_login_url: str | None,
    shared_acs: bool,
    connections: tuple[ConnectionSettings, ...],
) -> Problems:
    owners: dict[str, str] = {}
    for connection in connections:
        where = f"connections[{connection.id}].acs_paths"
        own = own_acs_path(prefix, connection.id, shared_acs=shared_acs)
        # Its own may be listed: first, where our requests are to name it again.
        further = [path for path in connection.acs_paths if path != own]
        if len(connection.acs_paths) - len(further) > 1:
            yield f"{where}: lists {own!r} twice; take one out"
        for path in further:
            if is_below(path, prefix):
                yield f"{where}: {path!r} lies within our own pages ({prefix}); list addresses from before, or {own!r}"
            if path == _path_below(base_url, local_login_url):
                yield f"{where}: {path!r} is local_login_url, whose form would never arrive; change one of them"
            if owners.get(path) == connection.id:
                yield f"{where}: lists {path!r} twice; take one out"
            elif path in owners:
                yield f"{where}: {path!r} belongs to {owners[path]!r}; a path belongs to one connection"
            owners.setdefault(path, connection.id)


def plain_form(path: str) -> str:
    """Of a path whose case and trailing slash a host's router may not mind."""
    return path.casefold().rstrip("/")


def _intercepted_forms_arrive(
    prefix: str, intercept: tuple[InterceptSettings, ...], connections: tuple[ConnectionSettings, ...]
) -> Problems:
    acs_paths = {plain_form(path) for connection in connections for path in connection.acs_paths}
    seen: set[str] = set()
    for index, form in enumerate(intercept):
        where, path = f"intercept[{index}].path", plain_form(form.path)
        if is_below(path, prefix.casefold()):
            yield f"{where}: lies within our own pages ({prefix}); give the path of a form of your app"
        elif path in acs_paths:
            yield f"{where}: {form.path!r} is one of acs_paths, which takes Responses; change one of them"
        elif path in seen:
            yield f"{where}: {form.path!r} is intercepted twice; take one out, or list both names in its field"
        seen.add(path)


def _any_domain_is_alone(mode: str, connections: tuple[ConnectionSettings, ...]) -> Problems:
    for connection in connections:
        if connection.domains == "any" and len(connections) > 1:
            yield f'connections[{connection.id}].domains: "any" is for a single connection; list its domains'
        elif connection.domains == "any" and mode == "domains":
            yield f'connections[{connection.id}].domains: "any" is for mode "everyone"; list its domains'


SETTINGS_RULES: tuple[Callable[..., Problems], ...] = (
    _secret_keys_are_secret,
    _demo_is_on_loopback,
    _something_is_protected,
    _our_pages_are_ours,
    _local_login_can_be_reached,
    _shared_entity_id_is_shared,
    timeouts_are_in_order,
    _signing_key_has_its_certificate,
    _encryption_key_has_its_certificate,
    smtp_has_a_sender,
    _rollover_goes_with_its_key,
    _connections_are_distinct,
    _metadata_comes_by_https,
    _acs_paths_are_their_own,
    _intercepted_forms_arrive,
    _any_domain_is_alone,
    connection_timeouts_are_in_order,
    languages_are_there,
    protected_roles_are_roles,
    role_mappings_fit,
)
