"""The tables of what admins decide while the app runs, of people, and of what is mailed to them."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from .schema import UtcDateTime, metadata

# What admins decide

# Without `settings`: a connection that the settings declare, and what is kept of it.
connections = Table(
    "sso_connection",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization", Text, nullable=False),
    Column("settings", JSON(none_as_null=True)),
    Column("state", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("test_passed_at", UtcDateTime),
    Column("test_stamp", Text),
)

# The name is the key: a domain belongs to one connection, whoever claims it at the same moment.
domains = Table(
    "sso_domain",
    metadata,
    Column("name", Text, primary_key=True),
    Column("connection_id", Text, nullable=False, index=True),
    Column("mode", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("verified_at", UtcDateTime),
    Column("verified_by", Text),
    Column("challenge", Text),
    Column("challenge_expires_at", UtcDateTime),
)

admins = Table(
    "sso_admin",
    metadata,
    Column("organization", Text, primary_key=True),
    Column("email", Text, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("former_email", Text),
)

# People

# Of one connection; known by keys (what the identity provider calls them by) and by e-mail addresses.
people = Table(
    "sso_person",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("user_id", Text),
    Column("email", Text, nullable=False),
    Column("former_email", Text),
    Column("email_changed_at", UtcDateTime),
    Column("secondary_email", Text),
    Column("first_name", Text, nullable=False),
    Column("last_name", Text, nullable=False),
    Column("name_id", Text),
    Column("answers", JSON, nullable=False),
    Column("grants", JSON(none_as_null=True)),
    Column("announced", JSON(none_as_null=True)),
    Column("told", JSON(none_as_null=True)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime),
    Column("linked_at", UtcDateTime),
    Column("attempt_id", Text),
    Column("attempt_ends_at", UtcDateTime),
    Index(None, "connection_id", "email"),
    Index(None, "connection_id", "user_id"),
)

person_keys = Table(
    "sso_person_key",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("principal_key", Text, primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("added_at", UtcDateTime, nullable=False),
)

person_emails = Table(
    "sso_person_email",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("email", Text, primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
)

# A sign-in that waits for answers on the first-login page; `arrival` is sealed.
pending_profiles = Table(
    "sso_pending_profile",
    metadata,
    Column("handle", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("browser", Text, nullable=False),
    Column("arrival", LargeBinary, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# The way back

# `id` is the hash of what the mailed link holds. Once used, `session_id` is the hash of the recovery session's token.
recovery_tokens = Table(
    "sso_recovery_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("used_at", UtcDateTime),
    Column("session_id", Text, unique=True),
    Column("session_ends_at", UtcDateTime),
    Index(None, "organization", "email"),
)

# Mail that waits to be sent; `message` is sealed. SQLite numbers rows by itself only in a column declared INTEGER.
outbox = Table(
    "sso_outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False, index=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("problem", Text),
)
