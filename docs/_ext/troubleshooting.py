"""Writes docs/troubleshooting.md out of the table of checks: `python docs/_ext/troubleshooting.py`.

The page is kept in the tree, so that it can be read without building anything; a test holds that it is what
this makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from error_codes import CODES, meaning_of

from sso_middleware.saml.explaining.check import Check, Who
from sso_middleware.saml.explaining.checks import CHECKS
from sso_middleware.saml.explaining.readings import KINDS, STATUS_WORDS
from sso_middleware.saml.explaining.wording import FOLDS

PAGE = Path(__file__).parents[1] / "troubleshooting.md"

INTRODUCTION = """\
<!-- Made by docs/_ext/troubleshooting.py out of the code: change it there, and run that. -->

# Why a sign-in was refused

Every cause there is, in the order in which a sign-in is checked. This list is made from the table by which the
software itself explains a refusal, so it is complete.

## Where to look

**By the reference.** The page that a person sees shows a code and a short reference, and nothing else that could help
an attacker. The explanation is kept under that reference: what came, what was expected, who must act, and *everything
else* in the same message that would fail too, so that it can all be put right at once:

```sh
sso-middleware events --reference babud-kolim
```

In a flood only sixty refusals a minute of each connection are told in full; the others are counted, and have no
reference.

**With the message in hand.** Whoever has the message (a browser's developer tools show the form field `SAMLResponse`
of the POST to the ACS) can have it explained, on any machine and without a network:

```sh
sso-middleware explain message.txt                          # - reads the standard input
sso-middleware explain message.txt --connection acme --at now --request-id _6f3a…
```

It takes the form field, URL-encoded or not, or the XML. With the settings at hand (`--config`, as for every command) it
runs the very checks of a sign-in; without them it tells as much as the message shows. The clock is the message's own
IssueInstant unless `--at` says otherwise: `--at now` shows what clocks that differ do. `--request-id` names our request
that it must answer (`""`: none); otherwise that is left open, as is all that only a real sign-in can show. An encrypted
message needs our key, from the settings or the database. `--json` tells the same to a script. The exit code is 0 if the
message is accepted, 1 if it is refused or there is no verdict, 2 if the command was called wrong.

Neither shows a NameID, the value of an attribute, what stands before the @ of an address, or a key. Both show the
*names* of the attributes that came. What "would fail too" is what the message says of itself: it was not verified.

## Who must act
"""

WHO = {
    Who.IDP: "changes a setting at the customer's Okta, Entra ID, … Send them the explanation.",
    Who.HOST: "runs the app that `sso-middleware` protects: you, most likely.",
    Who.PERSON: "need only try again, at the app.",
    Who.ATTACK: "No honest identity provider sends this. If one did all the same, its maker must mend it.",
}


def build_page() -> str:
    return (
        "\n".join(
            [
                INTRODUCTION,
                *(f"- **{who[0].upper()}{who[1:]}**: {words}" for who, words in WHO.items()),
                "",
                "## The checks",
                "",
                "Each with the codes that it refuses with, as among the [error codes](reference/errors.md).",
                "",
                *(line for check in CHECKS for line in section_of(check)),
                "## What the notes mean",
                "",
                "A note beside what came says what the difference is known to mean.",
                "",
                "### Two addresses that are nearly the same",
                "",
                "SAML compares them to the letter. So it is told if one",
                "",
                *(f"- {words}" for words, _ in FOLDS),
                "",
                "### The identity provider's Status",
                "",
                *table(("status", "what it says"), ((f"`{code}`", words) for code, words in STATUS_WORDS.items())),
                "### Another message than a Response, sent to the ACS",
                "",
                *table(("message", "why"), ((f"`{kind}`", words) for kind, words in KINDS.items())),
            ]
        ).rstrip()
        + "\n"
    )


def section_of(check: Check) -> Iterator[str]:
    yield from (f"### {check.title}", "", f"Expected: {check.expected}.", "", check.advice, "")
    rows = (
        (f"`{error.code}`", meaning_of(error), who, CODES.get(error.code, {}).get("do") or "As above.")
        for error, who in check.causes.items()
    )
    yield from table(("code", "meaning", "who must act", "what to do"), rows)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    yield row_of(heads)
    yield row_of("---" for _ in heads)
    yield from map(row_of, rows)
    yield ""


def row_of(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(build_page(), encoding="utf-8")
