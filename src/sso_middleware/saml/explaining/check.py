"""What a check is, for whoever explains it: what it expects, what it refuses with, and who must act then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ...errors import SSOError
from .glimpse import Glimpse
from .readings import Circumstances, Reading


class Who(StrEnum):
    """Who must change something."""

    IDP = "the customer's IdP admin"
    HOST = "the operator of the app"
    PERSON = "the person who signs in"
    ATTACK = "nobody: it looks like an attack"


@dataclass(frozen=True, slots=True)
class Check:
    id: str
    title: str
    expected: str
    advice: str
    refusals: Mapping[Who, tuple[type[SSOError], ...]]
    """What it refuses with, by who must act then."""
    read: Callable[[Glimpse, Circumstances], Reading | None] | None = None
    """What can be said of it by looking at the message."""
    of_assertion: bool = False
    """Not made of a Response that says that the sign-in failed."""
    of_flow: bool = False
    """Made with our own records: can't be judged from a message alone."""
    closer: Mapping[type[SSOError], str] = field(default_factory=dict)
    """What to do about one refusal, where `advice` must be about several things at once."""

    @property
    def who(self) -> Who:
        """As a rule."""
        return next(iter(self.refusals))

    def advice_on(self, error: SSOError) -> str:
        return next((words for kind, words in self.closer.items() if isinstance(error, kind)), self.advice)

    @property
    def causes(self) -> dict[type[SSOError], Who]:
        """Each of its refusals, with who must act."""
        return {error: who for who, errors_of in self.refusals.items() for error in errors_of}
