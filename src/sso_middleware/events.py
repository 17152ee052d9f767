"""What happened, for the audit trail, the log and the host's `on_event` hook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

EXPLANATION = "explanation"
"""The name in `detail` under which a refused sign-in has its explanation: JSON, at most 4 KiB, without secrets."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `code` is stable; a refusal's is the error's code.

    `reference` is what the person was shown. `detail` is for the admin: what came, what was expected.
    `email` names the person where one is known; it is stored, but never part of a log line or a repr.
    """

    code: str
    at: datetime
    connection_id: str | None = None
    reference: str | None = None
    client: str | None = None
    email: str | None = field(default=None, repr=False)
    detail: Mapping[str, str] = field(default_factory=dict)
