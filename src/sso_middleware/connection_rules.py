"""What settings of one connection may not be together. Rules over one value are `setting_values`'s, those over the
app's settings and several connections are `setting_rules`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from .idp_source import ByHand, FromUrl, recognise
from .role_settings import authorization_has_a_mapping

if TYPE_CHECKING:
    from .attribute_settings import AttributeMap

Problems = Iterator[str]

TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"


def _has_domains(domains: tuple[str, ...] | Literal["any"]) -> Problems:
    if not domains:
        yield "domains: is empty; list the organization's e-mail domains"
    elif len(set(domains)) != len(domains) and domains != "any":
        yield "domains: lists a domain twice; take one out"


def _modes_are_of_its_domains(domains: tuple[str, ...] | Literal["any"], domain_modes: Mapping[str, str]) -> Problems:
    for name in domain_modes:
        if name not in domains:
            yield f"domain_modes: {name!r} is not one of this connection's domains; add it to domains, or take it out"


def _testing_names_people(state: str, test_users: tuple[str, ...]) -> Problems:
    if state == "testing" and not test_users:
        yield 'test_users: is empty, so nobody could sign in (state is "testing"); name the people who test'


def _excluded_users_are_its_own(domains: tuple[str, ...] | Literal["any"], excluded_users: tuple[str, ...]) -> Problems:
    if domains == "any":
        return
    for index, user in enumerate(excluded_users):
        if user.rpartition("@")[2] not in domains:
            yield f"excluded_users[{index}]: is not of this connection's domains; add the domain or remove the person"


def _may_name_its_identity_provider(
    *,
    metadata: str | None,
    metadata_url: str | None,
    entity_id: str | None,
    sso_url: str | None,
    certificates: tuple[str, ...],
) -> Problems:
    """At run time a connection may begin without: many an identity provider wants our metadata first."""
    if any((metadata, metadata_url, entity_id, sso_url, certificates)):
        yield from _names_its_identity_provider_once(
            metadata_file=None,
            metadata=metadata,
            metadata_url=metadata_url,
            entity_id=entity_id,
            sso_url=sso_url,
            certificates=certificates,
        )


def _names_its_identity_provider_once(
    *,
    metadata_file: object,
    metadata: str | None,
    metadata_url: str | None,
    entity_id: str | None,
    sso_url: str | None,
    certificates: tuple[str, ...],
) -> Problems:
    by_hand = {"sso_url": sso_url, "certificates": certificates}
    given = [
        name
        for name, value in (
            ("metadata_url", metadata_url),
            ("metadata_file", metadata_file),
            ("metadata", metadata),
            *by_hand.items(),
        )
        if value
    ]
    metadata_given = [name for name in given if name not in by_hand]
    if not given and entity_id is None:
        yield (
            "metadata_url: is missing, so no identity provider is named; give it, or metadata_file, or metadata, or"
            " entity_id with sso_url and certificates"
        )
    elif metadata_given and len(given) > 1:
        yield f"{given[0]}: names the identity provider once more than {given[1]}; keep one of them"
    elif not metadata_given:  # else entity_id alone says which one of many is meant
        missing = [name for name, value in {"entity_id": entity_id, **by_hand}.items() if not value]
        if missing:
            yield f"{missing[0]}: is missing; entity_id, sso_url and certificates go together"


def _signed_metadata_is_metadata(
    *,
    metadata_url: str | None,
    metadata_max_validity: timedelta | None,
    metadata_signing_certificates: tuple[str, ...],
    sso_url: str | None,
    metadata: str | None,
) -> Problems:
    source = None if metadata is None else recognise(metadata)
    if metadata_signing_certificates and (sso_url is not None or isinstance(source, ByHand)):
        yield "metadata_signing_certificates: are for metadata; what is given by hand carries no signature"
    if metadata_max_validity is not None and metadata_url is None and not isinstance(source, FromUrl):
        yield "metadata_max_validity: is for metadata_url, which is fetched again and again; leave it out"


def _requires_an_email(required_attributes: tuple[str, ...]) -> Problems:
    if "email" not in required_attributes:
        yield 'required_attributes: must hold "email": without it nobody can be told from anybody'


def _people_can_be_recognised(name_id_format: str | None, attributes: AttributeMap) -> Problems:
    if name_id_format == TRANSIENT and attributes.principal_id is None:
        yield (
            "name_id_format: is transient, another one at each login; ask for a persistent one, or name the"
            " attribute that holds a lasting id as attributes.principal_id"
        )


def _some_signature_is_allowed(allowed_signature_algorithms: tuple[str, ...]) -> Problems:
    if not allowed_signature_algorithms:
        yield "allowed_signature_algorithms: is empty, so nothing could be verified; leave it out to allow all we know"


CONNECTION_RULES: tuple[Callable[..., Problems], ...] = (
    _has_domains,
    _modes_are_of_its_domains,
    _testing_names_people,
    _excluded_users_are_its_own,
    _names_its_identity_provider_once,
    _signed_metadata_is_metadata,
    _requires_an_email,
    _people_can_be_recognised,
    _some_signature_is_allowed,
    authorization_has_a_mapping,
)

RUN_TIME_CONNECTION_RULES: tuple[Callable[..., Problems], ...] = (
    *(
        rule
        for rule in CONNECTION_RULES
        if rule not in (_has_domains, _excluded_users_are_its_own, _names_its_identity_provider_once)
    ),
    _may_name_its_identity_provider,
)
