"""Who is counted as one client, and what a process keeps in mind."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from tests.world import World
from werkzeug.datastructures import Headers

from sso_middleware.flows.counting import MOST_TALLIES, Counters
from sso_middleware.flows.limits import UNKNOWN_CLIENT, Limit, client_key, of_client
from sso_middleware.web import Request

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:51234", "198.51.100.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        (None, UNKNOWN_CLIENT),
        ("", UNKNOWN_CLIENT),
        ("unknown", UNKNOWN_CLIENT),
        ("198.51.100.7:", UNKNOWN_CLIENT),
        ("198.51.100.300", UNKNOWN_CLIENT),
        ("a" * 10_000, UNKNOWN_CLIENT),
    ],
)
def test_a_client_is_an_address_or_a_network(client: str | None, key: str) -> None:
    """What one client can choose for itself makes no second one."""
    assert client_key(client) == key


def test_those_who_can_not_be_told_apart_share_a_larger_limit(world: World) -> None:
    """Behind a unix socket everybody is in one bucket; one who floods it would else be everybody."""
    request = Request("GET", "/", None, "", Headers(), "https", "", None, {}, lambda _: b"")
    assert of_client(request, "x", 10).limit.most == 100


@pytest.mark.parametrize(("most", "step"), [(1, 1), (9, 1), (19, 1), (20, 2), (1200, 120)])
def test_a_step_is_a_tenth(most: int, step: int) -> None:
    """And never nothing."""
    assert Limit("x", most).step == step


def test_a_window_ends_on_the_dot() -> None:
    """The same count is found until then; after it, a new one is made."""
    counters = Counters()
    tally = counters.open("a", NOW, NOW + MINUTE)
    tally.total = 5
    assert counters.find("a", NOW + MINUTE - timedelta(microseconds=1)) is tally
    assert counters.find("a", NOW + MINUTE) is None
    assert counters.find("b", NOW) is None
    assert counters.open("a", NOW + MINUTE, NOW + 2 * MINUTE).total == 0


def test_a_process_keeps_a_bounded_number_in_mind() -> None:
    """However many names somebody makes up; a name in use is not the one that is forgotten."""
    counters = Counters()
    used = counters.open("used", NOW, NOW + MINUTE)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(10 * MOST_TALLIES):
            counters.open(f"sign-ins begun 2001:db8:{number:x}:ffff::/64", NOW, NOW + MINUTE)
            assert counters.find("used", NOW) is used
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(counters) <= 2 * MOST_TALLIES
    assert size < 8 * 1024 * 1024


def test_refusals_left_untold_are_summed_up_once() -> None:
    """By connection and code, when their time is over."""
    counters = Counters()
    for code in ("stale", "stale", "expired"):
        counters.leave_untold("acme", code, NOW, NOW + MINUTE)
    counters.leave_untold(None, "page_not_found", NOW + MINUTE, NOW + 2 * MINUTE)

    assert list(counters.take_untold(NOW)) == []
    (untold,) = counters.take_untold(NOW + MINUTE)
    assert (untold.connection_id, untold.number, untold.codes) == ("acme", 3, {"stale": 2, "expired": 1})
    assert (untold.since, untold.until) == (NOW, NOW + MINUTE)
    assert list(counters.take_untold(NOW + MINUTE)) == []
