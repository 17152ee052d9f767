"""Connections, domains and admins at run time; people; recovery access and its mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _configuration()
    _people()
    _recovery()
    op.create_index("ix_sso_event_at", "sso_event", ["at"])


def _configuration() -> None:
    _table(
        "sso_connection",
        "id",
        _text("id"),
        _text("organization"),
        sa.Column("settings", sa.JSON),
        _text("state", nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        _time("created_at"),
        _time("updated_at"),
        _time("test_passed_at", nullable=True),
        _text("test_stamp", nullable=True),
    )
    _table(
        "sso_domain",
        "name",
        _text("name"),
        _text("connection_id"),
        _text("mode"),
        _time("created_at"),
        _time("verified_at", nullable=True),
        _text("verified_by", nullable=True),
        _text("challenge", nullable=True),
        _time("challenge_expires_at", nullable=True),
    )
    op.create_index("ix_sso_domain_connection_id", "sso_domain", ["connection_id"])
    _table(
        "sso_admin",
        "organization email",
        _text("organization"),
        _text("email"),
        _time("since"),
        _text("former_email", nullable=True),
    )


def _people() -> None:
    _table(
        "sso_person",
        "id",
        _text("id"),
        _text("connection_id"),
        _text("user_id", nullable=True),
        _text("email"),
        _text("former_email", nullable=True),
        _time("email_changed_at", nullable=True),
        _text("secondary_email", nullable=True),
        _text("first_name"),
        _text("last_name"),
        _text("name_id", nullable=True),
        sa.Column("answers", sa.JSON, nullable=False),
        sa.Column("grants", sa.JSON),
        sa.Column("announced", sa.JSON),
        sa.Column("told", sa.JSON),
        _time("created_at"),
        _time("seen_at", nullable=True),
        _time("linked_at", nullable=True),
        _text("attempt_id", nullable=True),
        _time("attempt_ends_at", nullable=True),
    )
    op.create_index("ix_sso_person_connection_id_email", "sso_person", ["connection_id", "email"])
    op.create_index("ix_sso_person_connection_id_user_id", "sso_person", ["connection_id", "user_id"])
    _table(
        "sso_person_key",
        "connection_id principal_key",
        _text("connection_id"),
        _text("principal_key"),
        _text("person_id"),
        _time("added_at"),
    )
    op.create_index("ix_sso_person_key_person_id", "sso_person_key", ["person_id"])
    _table("sso_person_email", "connection_id email", _text("connection_id"), _text("email"), _text("person_id"))
    op.create_index("ix_sso_person_email_person_id", "sso_person_email", ["person_id"])
    _table(
        "sso_pending_profile",
        "handle",
        _text("handle"),
        _text("connection_id"),
        _text("person_id"),
        _text("browser"),
        sa.Column("arrival", sa.LargeBinary, nullable=False),
        _time("expires_at"),
    )
    op.create_index("ix_sso_pending_profile_expires_at", "sso_pending_profile", ["expires_at"])


def _recovery() -> None:
    _table(
        "sso_recovery_token",
        "id",
        _text("id"),
        _text("organization"),
        _text("email"),
        _time("created_at"),
        _time("expires_at"),
        _time("used_at", nullable=True),
        _text("session_id", nullable=True),
        _time("session_ends_at", nullable=True),
        sa.UniqueConstraint("session_id", name="uq_sso_recovery_token_session_id"),
    )
    op.create_index("ix_sso_recovery_token_expires_at", "sso_recovery_token", ["expires_at"])
    op.create_index("ix_sso_recovery_token_organization_email", "sso_recovery_token", ["organization", "email"])
    _table(
        "sso_outbox",
        "id",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        _text("kind"),
        sa.Column("message", sa.LargeBinary, nullable=False),
        _time("created_at"),
        sa.Column("attempts", sa.Integer, nullable=False),
        _time("next_attempt_at"),
        _time("expires_at"),
        _text("problem", nullable=True),
    )
    op.create_index("ix_sso_outbox_next_attempt_at", "sso_outbox", ["next_attempt_at"])
    op.create_index("ix_sso_outbox_expires_at", "sso_outbox", ["expires_at"])


def _table(name: str, key: str, *columns: sa.Column[object] | sa.UniqueConstraint) -> None:
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*key.split(), name=f"pk_{name}"))


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
