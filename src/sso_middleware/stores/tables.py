"""The tables: one shape for SQLite and PostgreSQL. Those about what admins decide and about people are
`people_tables`'.

What is written into them is `sql`'s, how they come to be is `migrations`' (a test holds that both say
the same). A change here needs a new migration.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

from .people_tables import (
    admins,
    connections,
    domains,
    outbox,
    pending_profiles,
    people,
    person_emails,
    person_keys,
    recovery_tokens,
)
from .schema import UtcDateTime, metadata

__all__ = [
    "admins",
    "connections",
    "domains",
    "metadata",
    "outbox",
    "pending_profiles",
    "people",
    "person_emails",
    "person_keys",
    "recovery_tokens",
]

VERSION_TABLE = "sso_alembic_version"
"""Our own, so that a host's Alembic and ours in one database don't meet."""

login_requests = Table(
    "sso_login_request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("return_to", Text, nullable=False),
    Column("browser", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("session_id", Text),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

logout_requests = Table(
    "sso_logout_request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("browser", Text, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

claimed_assertions = Table(
    "sso_claimed_assertion",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("assertion_id", Text, primary_key=True),
    Column("valid_until", UtcDateTime, nullable=False, index=True),
)

# No foreign key to the login request: the two end at different times, and are deleted by their own.
pending_logins = Table(
    "sso_pending_login",
    metadata,
    Column("handle", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("login_request_id", Text),
    Column("outcome", LargeBinary, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# A session that was renewed stays under its old id for a while, as an alias: `replaced_by` names the newest one.
# One that timed out stays, too, so that a clock that is set back does not bring it to life again.
sessions = Table(
    "sso_session",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("principal_key", Text, nullable=False),
    Column("principal", JSON, nullable=False),
    Column("email", Text, nullable=False, server_default=text("''")),
    Column("name_id", Text, nullable=False),
    Column("logout_key", Text, nullable=False, server_default=text("''")),
    Column("session_index", Text),
    Column("device", Text, nullable=False, server_default="desktop"),
    Column("policy", Text, nullable=False, server_default=text("''")),
    Column("lineage", Text, nullable=False, server_default=text("''")),
    Column("created_at", UtcDateTime),
    Column("authenticated_at", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False, index=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("is_stale", Boolean, nullable=False, server_default=false()),
    Column("is_confirmed", Boolean, nullable=False, server_default=true()),
    Column("renewals", Integer, nullable=False, server_default="0"),
    Column("renewal_began_at", UtcDateTime),
    Column("replaced_by", Text, index=True),
    Column("alias_ends_at", UtcDateTime),
    Column("timed_out_at", UtcDateTime),
    Index(None, "connection_id", "principal_key"),
    Index(None, "connection_id", "logout_key"),
)

# What every process must forget of the sessions that it remembers, in the order of the commits.
changes = Table(
    "sso_change",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("connection_id", Text),
    Column("principal_key", Text),
    Column("session_id", Text),
)

# One row: the number of the newest change. Whoever counts up holds it until the commit, so that no later
# number is ever seen before an earlier one.
change_counters = Table(
    "sso_change_counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# A form that met an ended session; `form` is sealed.
kept_forms = Table(
    "sso_kept_form",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("principal_key", Text, nullable=False),
    Column("form", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index(None, "connection_id", "principal_key"),
)

# `generation` counts up within a purpose: who is first is decided by its uniqueness, not by a clock.
keys = Table(
    "sso_signing_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("private_key", LargeBinary, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False, server_default="current"),
    Column("changed_at", UtcDateTime),
    UniqueConstraint("purpose", "generation"),
    # Whatever two admins do at the same moment, there is one next key.
    Index(
        "uq_sso_signing_key_next",
        "purpose",
        unique=True,
        sqlite_where=text("state = 'next'"),
        postgresql_where=text("state = 'next'"),
    ),
)

# What was fetched from a connection's metadata_url. `document` is the last good copy; `held` waits for a person.
metadata_copies = Table(
    "sso_metadata",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("document", LargeBinary),
    Column("version", Integer, nullable=False),
    Column("fetched_at", UtcDateTime),
    Column("attempted_at", UtcDateTime),
    Column("next_fetch_at", UtcDateTime, nullable=False),
    Column("problem", Text),
    Column("held", LargeBinary),
    Column("held_reason", Text),
    Column("held_at", UtcDateTime),
)

limits = Table(
    "sso_limit",
    metadata,
    Column("name", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False, index=True),
)

# What was told once and need not be told again until then (a certificate that ends in 30 days).
notices = Table(
    "sso_notice",
    metadata,
    Column("name", Text, primary_key=True),
    Column("ends_at", UtcDateTime, nullable=False, index=True),
)

# SQLite numbers rows by itself only in a column declared INTEGER.
events = Table(
    "sso_event",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("code", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("connection_id", Text),
    Column("reference", Text),
    Column("client", Text),
    Column("email", Text),
    Column("detail", JSON, nullable=False),
    Index(None, "reference"),
    Index(None, "at"),
)

leases = Table(
    "sso_lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("held_until", UtcDateTime, nullable=False),
)
