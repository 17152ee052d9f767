"""Which ways back in there are, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sso_middleware.ways_back import WayBack, ways_back

GOOD: Mapping[str, Any] = {
    "excluded_users": ["it1@acme.example", "it2@acme.example"],
    "admins": ["boss@elsewhere.example"],
    "domains": ["acme.example"],
    "has_host_user": True,
    "has_send_mail": True,
    "has_smtp": False,
    "background": True,
}


def found(**changes: Any) -> tuple[WayBack, WayBack]:
    by_exclusion, by_mail = ways_back(**{**GOOD, **changes})
    return by_exclusion, by_mail


def test_two_ways_that_work_have_nothing_to_warn_of() -> None:
    """Two excluded people, and an admin whose mail does not depend on the identity provider."""
    assert [(way.name, way.works, way.warning) for way in found()] == [
        ("excluded_users", True, None),
        ("recovery_access", True, None),
    ]
    assert found()[0].words == "2 people sign in by the app's own login (excluded_users)"
    assert found()[1].words == "1 admin gets a link by mail (recovery access)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"excluded_users": []}, "nobody is on excluded_users"), ({"has_host_user": False}, "no hook host_user")],
)
def test_exclusion_needs_people_and_the_hook(changes: dict[str, Any], words: str) -> None:
    """Without either it is no way back, and the words say what is missing."""
    way = found(**changes)[0]
    assert not way.works
    assert words in way.words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"admins": []}, "no SSO account admin"),
        ({"has_send_mail": False}, "neither smtp_url nor a hook"),
        ({"background": False}, "knows no hooks"),
    ],
)
def test_recovery_access_needs_admins_and_mail(changes: dict[str, Any], words: str) -> None:
    """Without either it is no way back; by cron the hook can't send."""
    way = found(**changes)[1]
    assert not way.works
    assert words in way.words
    assert found(background=False, has_smtp=True)[1].works


def test_what_works_and_could_be_better_is_said() -> None:
    """One person alone, or mail that needs the identity provider itself."""
    assert "second" in str(found(excluded_users=["it1@acme.example"])[0].warning)
    assert "without this identity provider" in str(found(admins=["it1@acme.example"])[1].warning)
    assert found(admins=["it1@acme.example", "boss@elsewhere.example"])[1].warning is None
