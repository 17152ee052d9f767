"""An error and the message that it is about in, an explanation out: every check in order, and all that doesn't fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ...errors import DecryptionFailed, IdentityProviderFailure, IssuerMismatch, SignatureInvalid, SSOError
from ..assertion import Assertion
from ..parsing import Message
from ..parties import Expected
from ..response import check_failure, verify_response
from .check import Check, Who
from .checks import CHECKS, check_of, who_must_act
from .glimpse import Glimpse
from .readings import Circumstances, Reading
from .wording import clean

State = Literal["passed", "refused", "would fail", "not reached", "not judged"]
"""`refused` and `passed` are the verdict's; `would fail` is only what the message says of itself."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    state: State
    came: str
    expected: str
    why: str = ""
    """What the check itself said, where what came does not show it."""
    hints: tuple[str, ...] = ()
    who: Who | None = None
    """Who must act, if it is refused or would fail too."""
    advice: str = ""
    """What to do then."""


@dataclass(frozen=True, slots=True)
class Explanation:
    code: str | None
    """Of the refusal; None if there is none."""
    why: str | None
    is_accepted: bool
    """Nothing was refused, and nothing kept the verdict from being made."""
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> Finding | None:
        """The check that the message was refused in."""
        return next((finding for finding in self.findings if finding.state == "refused"), None)

    @property
    def also(self) -> tuple[Finding, ...]:
        """What would fail too, as the message says of itself."""
        told = None if self.refused is None else (self.refused.came, self.refused.expected)
        return tuple(
            finding
            for finding in self.findings
            if finding.state == "would fail" and (finding.came, finding.expected) != told
        )


def judge(message: Message, circumstances: Circumstances) -> Assertion | None:
    """The verdict of the real functions. None: it can't be told with what is known.

    Where our own request is not known, the message is taken to answer it. Raises what they raise, and
    IdentityProviderFailure for a genuine failure.
    """
    trust, provider = circumstances.trust, circumstances.service_provider
    if trust is None or provider is None:
        return None
    expected = circumstances.expected if circumstances.is_request_known else _taken_for_granted(message, circumstances)
    now = circumstances.now
    if not message.envelope.succeeded:
        check_failure(message, trust=trust, service_provider=provider, expected=expected, now=now)
        raise IdentityProviderFailure("the identity provider did not sign the person in")
    try:
        return verify_response(message, trust=trust, service_provider=provider, expected=expected, now=now)
    except DecryptionFailed:
        if trust.decryption_keys:
            raise
        return None


def _taken_for_granted(message: Message, circumstances: Circumstances) -> Expected | None:
    request_id = message.envelope.in_response_to
    asked_at = min(circumstances.now, message.envelope.issue_instant)
    return None if request_id is None else Expected(request_id, asked_at)


def explain(
    glimpse: Glimpse | None,
    circumstances: Circumstances,
    *,
    error: SSOError | None,
    stopped_at: str | None = None,
    is_live: bool = False,
) -> Explanation:
    """Every check, with what is known of it.

    `error` is what the message was refused with, None if it was not. `stopped_at` is the check at which
    judging ended without a verdict. `is_live`: it comes out of a sign-in, so our own records were asked.
    """
    if _is_signature_invalid(error):
        circumstances = replace(circumstances, is_signature_invalid=True)
    refusing = None if error is None else check_of(error)
    ends = [index for index, check in enumerate(CHECKS) if check is refusing or check.id == stopped_at]
    case = _Case(glimpse, circumstances, error, refusing, ends[0] if ends else len(CHECKS), is_live)
    return Explanation(
        code=None if error is None else error.code,
        why=None if error is None else clean(error.detail, 300),
        is_accepted=error is None and stopped_at is None,
        findings=tuple(case.find(index, check) for index, check in enumerate(CHECKS)),
    )


def _is_signature_invalid(error: SSOError | None) -> bool:
    # Another identity provider's message is refused for its Issuer, once its signature did not verify.
    cause = error.__context__ if isinstance(error, IssuerMismatch) else error
    return isinstance(cause, SignatureInvalid)


_IDS = [check.id for check in CHECKS]
_SIGNATURE, _ENCRYPTION = _IDS.index("signature"), _IDS.index("encryption")
_LAST_OF_MESSAGE = _IDS.index("outcome")
"""What is refused later was verified: nothing in it would fail besides."""


@dataclass(frozen=True, slots=True)
class _Case:
    glimpse: Glimpse | None
    circumstances: Circumstances
    error: SSOError | None
    refusing: Check | None
    ended_at: int
    is_live: bool

    def find(self, index: int, check: Check) -> Finding:
        reading = self._read(check)
        state = self._state(index, check, reading)
        is_seen = reading is not None and reading.fits is False
        return Finding(
            check,
            state,
            came="" if reading is None else reading.came,
            expected=check.expected if reading is None else reading.expected,
            why=clean(self.error.detail, 300) if state == "refused" and self.error and not is_seen else "",
            hints=() if reading is None or state == "passed" else reading.hints,
            who=self._who(state, check),
            advice=check.advice_on(self.error) if state == "refused" and self.error else check.advice,
        )

    def _read(self, check: Check) -> Reading | None:
        # Of what is no Response at all, nothing else is worth saying.
        if check.read is None or self.glimpse is None or (self.glimpse.kind != "Response" and check.id != "kind"):
            return None
        return check.read(self.glimpse, self.circumstances)

    def _who(self, state: State, check: Check) -> Who | None:
        if state == "refused" and self.error is not None:
            return who_must_act(self.error)
        return check.who if state == "would fail" else None

    def _state(self, index: int, check: Check, reading: Reading | None) -> State:
        if check is self.refusing:
            return "refused"
        if check.of_assertion and self.glimpse is not None and self.glimpse.is_failure:
            return "not judged"
        if reading is not None and reading.fits is False and self.ended_at <= _LAST_OF_MESSAGE:
            return "would fail"
        if self.circumstances.is_signature_invalid and index > _SIGNATURE:
            return "not reached"
        if index >= self.ended_at:
            return "not judged" if self.refusing is None else "not reached"
        return "passed" if self._was_made(check) else "not judged"

    def _was_made(self, check: Check) -> bool:
        """Whether a check that came before the end was really made."""
        if check.id in ("login_request", "in_response_to"):
            return self.is_live or self.circumstances.is_request_known
        if check.id == "signature" and self.glimpse is not None and self.ended_at == _ENCRYPTION:
            # The assertion's own is inside of what was not decrypted.
            return self.glimpse.is_signed("Response")
        return self.is_live or not check.of_flow
