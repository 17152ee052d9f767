"""A connection test: a real sign-in at the identity provider that shows what would follow, and lets nothing follow.

It opens no session, calls no hook and makes nobody known. What the tester sees is bound to the browser that
began the test; that a test passed is remembered with the connection, for as long as it says the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from ..attribute_reading import values_by_name
from ..attribute_settings import AttributeMap, NamedAttribute
from ..calling import Call
from ..connection import Connection
from ..errors import ConnectionChanged, InvalidToken, LoginRefused, MessageRefused, SSOError, TestLinkUnknown
from ..hooks import Identity
from ..roles import NothingGranted
from ..saml.assertion import Assertion
from ..saml.explaining.explanation import Explanation, explain
from ..saml.explaining.glimpse import glimpse_of
from ..saml.explaining.readings import Circumstances
from ..saml.explaining.stored import as_record
from ..stores.records import LoginRequest
from ..web import Reply, Request
from .explaining import Received
from .limits import check, count, refused_answers
from .login import bring_home, count_sign_in, leave
from .outcome import Failed, Outcome, SignedIn, Tested
from .provisioning import read_identity
from .reporting import report
from .roles import decide_roles, refusal_of
from .site import Site

TEST_LINK = "connection test"
_LONGEST_VALUE = 300
_MOST_ATTRIBUTES = 100
_NOT_ASKED = ("person", "host")
"""Checks that a test does not make: it would make somebody known, and call a hook."""


async def begin_test(site: Site, request: Request, call: Call) -> Reply:
    """GET test: off to the identity provider, whatever the state of the connection."""
    home = _bring_home(site, request)
    if home is not None:
        return home
    connection = _connection_of(site, request)
    await count_sign_in(site, request, call)
    # `fresh` is not asked for: whoever tests is to see what everybody will.
    return await leave(site, request, call, connection, return_to="/", purpose="test")


def _bring_home(site: Site, request: Request) -> Reply | None:
    token = request.query_value("token") or ""
    return bring_home(site, request, "test", "/", token=token)


def _connection_of(site: Site, request: Request) -> Connection:
    try:
        id, ends_at = json.loads(site.tokens.verify(TEST_LINK, request.query_value("token") or ""))
    except (InvalidToken, ValueError):
        raise TestLinkUnknown("the link of a connection test is not one of ours") from None
    if datetime.fromtimestamp(ends_at, UTC) <= site.now():
        raise TestLinkUnknown("the link of a connection test has expired")
    connection = site.connections.get(id)
    if connection is None:
        raise TestLinkUnknown("the link of a connection test is for one that is gone")
    return connection


# At the ACS


def is_test(login_request: LoginRequest | None) -> bool:
    return login_request is not None and login_request.purpose == "test"


def tested(site: Site, received: Received, outcome: Outcome) -> Tested:
    """What the ACS found, to be shown."""
    if isinstance(outcome, Failed):
        why = f"the identity provider answered {outcome.status}"
        return Tested(None, (), "identity_provider_failure", why, outcome.message)
    findings = _records(received.explanation(site, None))
    stamp = "" if received.connection is None else received.connection.test_stamp
    return Tested(outcome.assertion if isinstance(outcome, SignedIn) else None, findings, stamp=stamp)


async def tested_in_vain(
    site: Site, request: Request, call: Call, received: Received, error: MessageRefused | LoginRefused
) -> Tested | None:
    """A refusal in a test goes to who tests; None: it was none. Of each test a few are kept, as of failures."""
    login_request = received.login_request
    if login_request is None or not is_test(login_request) or received.connection is None:
        return None
    answers = refused_answers(login_request.id)
    check(site, answers)
    await count(site, request, call, answers)
    return Tested(None, _records(received.explanation(site, error)), error.code, error.detail)


def _records(explanation: Explanation) -> tuple[dict[str, object], ...]:
    return tuple(as_record(finding) for finding in explanation.findings)


# At finish


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the report's tables."""

    name: str
    value: str
    note: str = ""


async def show_report(site: Site, request: Request, call: Call, connection: Connection, outcome: Tested) -> Reply:
    """What came, what it would mean, and whether somebody would be signed in."""
    identity_rows: list[_Row] = []
    code, why, findings = outcome.code, outcome.why, outcome.findings
    if outcome.assertion is not None:
        try:
            identity = read_identity(outcome.assertion, connection)
            identity_rows = _identity_rows(outcome.assertion, connection, identity)
            identity_rows += _role_rows(identity, connection)
        except SSOError as error:
            code, why = error.code, error.detail
            circumstances = Circumstances(site.now())
            findings = _records(explain(glimpse_of(outcome.assertion), circumstances, error=error, is_live=True))
    if code is None and outcome.stamp != connection.test_stamp:
        code, why = ConnectionChanged.code, "what the connection says was changed during this test: test it again"
    if code is None:
        await call(site.store.record_test, connection.id, connection.organization, connection.test_stamp, site.now())
    detail = {"result": "passed"} if code is None else {"result": code, "why": why or ""}
    await report(site, request, call, "connection_tested", connection_id=connection.id, detail=detail)
    return site.pages.reply(
        request,
        "test_report",
        in_english=True,
        organization=connection.organization,
        connection_id=connection.id,
        state=connection.state,
        code=code,
        why=f"{why}: {outcome.message}" if outcome.message else why,
        findings=[_as_asked(finding) for finding in findings],
        refused=next((f for f in findings if f["state"] == "refused"), None),
        attributes=_attribute_rows(outcome.assertion, connection) if outcome.assertion else [],
        identity=identity_rows,
    )


def _as_asked(finding: dict[str, object]) -> dict[str, object]:
    is_guess = finding["check"] in _NOT_ASKED and finding["state"] == "passed"
    return {**finding, "state": "not judged"} if is_guess else finding


def _attribute_rows(assertion: Assertion, connection: Connection) -> list[_Row]:
    """Every attribute that came, and what it is used for."""
    used: dict[str, list[str]] = {}
    for field, name in _names(connection.attributes).items():
        used.setdefault(name, []).append(field.replace("_", " "))
    rows = []
    for attribute in assertion.attributes[:_MOST_ATTRIBUTES]:
        values = " | ".join(attribute.values) or "(no value)"
        uses = ", ".join(used.get(attribute.name, ())) or "not used"
        rows.append(_Row(attribute.name, _short(values), f"{uses}; NameFormat {attribute.name_format or 'none'}"))
    return rows


def _identity_rows(assertion: Assertion, connection: Connection, identity: Identity) -> list[_Row]:
    principal_id = _names(connection.attributes).get("principal_id")
    key = f"the attribute {principal_id}" if principal_id else f"the NameID ({assertion.name_id.format})"
    rows = [
        _Row("E-mail", identity.email),
        _Row("First name", identity.first_name),
        _Row("Last name", identity.last_name),
        _Row("Country", identity.country or "", "" if identity.country else "none came"),
        _Row("Department", identity.department or "", "" if identity.department else "none came"),
        *([_Row("Team", identity.team)] if identity.team else []),
        _Row("Known again by", key),
    ]
    if _names(connection.attributes).get("roles") in values_by_name(assertion.attributes):
        rows.append(_Row("Values for roles", _short(", ".join(identity.roles))))
    return [*rows, *_rows_to_be_asked(identity, connection)]


def _rows_to_be_asked(identity: Identity, connection: Connection) -> list[_Row]:
    """What somebody new would be asked on the first-login page."""
    asked = ["country"] if connection.profile.asks_for_country(identity.country) else []
    asked += ["department"] if connection.profile.asks_for_team(identity.team) else []
    return [_Row("Would be asked for", ", ".join(asked), "once, on the first-login page")] if asked else []


def _role_rows(identity: Identity, connection: Connection) -> list[_Row]:
    """The roles that would follow. Raises RolesMissing, RolesUnmatched, RolesOverage as a sign-in would."""
    if not connection.roles.authorization:
        return [_Row("Roles", "stay as they are", "authorization is off")]
    decided = decide_roles(connection, identity)
    if isinstance(decided, NothingGranted):
        raise refusal_of(decided, connection, identity)
    return [_Row(f"Roles of {scope}", ", ".join(roles)) for scope, roles in decided.grants.items()]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _names(attributes: AttributeMap) -> dict[str, str]:
    """Field to attribute name, of those that are named."""
    return {field: named.name for field, named in attributes if isinstance(named, NamedAttribute)}
