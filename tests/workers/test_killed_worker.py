"""`kill -9` of a worker at any point of a login or a renewal: no session is lost, and none is half-made.

The app kills its own process just before or just after the n-th call of its store (served.Mortal), for each n.
The browser then does what a person does: reload, and if that leads nowhere, begin again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import ParamSpec

import httpx
import pytest
from tests.postgres import Cluster
from tests.workers.site import Person, Site, is_passive, running_site

from sso_middleware.stores.session_records import Session, SessionQuery

pytestmark = pytest.mark.server

P = ParamSpec("P")

MANY = 10_000
FEWER = 6
"""A worker that remembers more than the one that was counted passes fewer points: so many may be left over."""


# In `make test` every fourth point, on SQLite; every one of them, on both, in `make long`.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sqlite-some", id="some-on-sqlite"),
        pytest.param("sqlite", marks=pytest.mark.slow),
        pytest.param("postgresql", marks=pytest.mark.slow),
    ],
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two workers, one of which goes on while the other's place is filled. Each request asks the store."""
    url = None
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgres")
        url = cluster.url(cluster.create_database())
    directory: Path = tmp_path_factory.mktemp("site")
    with running_site(
        directory, server="gunicorn", app="mortal_wsgi", workers=2, database_url=url, revocation_delay="0s"
    ) as site:
        yield site


@pytest.fixture
def every(site: Site, request: pytest.FixtureRequest) -> int:
    return 4 if "some-on-sqlite" in request.node.name else 1


@contextmanager
def dying_at(site: Site, number: int) -> Iterator[Callable[[], list[str]]]:
    """The worker that comes to this point first is killed there; gives the points that were passed so far."""
    points, death = site.directory / "points", site.directory / "death"
    points.unlink(missing_ok=True)
    points.touch()
    death.write_text(str(number))
    try:
        yield lambda: points.read_text().splitlines()
    finally:
        death.unlink(missing_ok=True)


def insist(ask: Callable[P, httpx.Response], *args: P.args, **kwargs: P.kwargs) -> httpx.Response:
    """Ask again if the connection breaks: once, for one worker dies."""
    try:
        return ask(*args, **kwargs)
    except httpx.TransportError:
        return ask(*args, **kwargs)


def sessions_of(site: Site, person: Person) -> list[Session]:
    with site.store() as store:
        return list(store.find_sessions(SessionQuery(email=person.email)))


def try_to_sign_in(person: Person) -> bool:
    """One attempt, in which any request may meet the end of its worker."""
    answer = insist(person.get, "/report")
    while answer.status_code == 303 and answer.headers["Location"].startswith(person.site.base_url):
        answer = insist(person.get, answer.headers["Location"])
    assert answer.status_code == 303, answer.text
    answer = insist(person.post, person.log_in(answer.headers["Location"]))
    if answer.status_code == 303:
        answer = insist(person.get, answer.headers["Location"])
    assert answer.status_code in (303, 400, 403), (answer.status_code, answer.text)
    return answer.status_code == 303


def test_a_login_survives_the_end_of_its_worker(site: Site, every: int) -> None:
    """At each point: at the latest the second attempt signs the person in, and what is kept of them is whole."""
    with dying_at(site, MANY) as points, Person(site, "nobody") as person:
        assert try_to_sign_in(person)
        names = points()
    assert {"after claim_assertion", "after take_pending_login", "before add_session"} <= set(names)

    repeated = deaths = 0
    chosen = list(enumerate(names, start=1))[::every]
    for number, name in chosen:
        with dying_at(site, number) as points, Person(site, f"login{number}") as person:
            is_in = try_to_sign_in(person)
            deaths += len(points()) >= number
            if not is_in:
                repeated += 1
                assert try_to_sign_in(person), name
            assert insist(person.fetch).text == person.email, name
            kept = sessions_of(site, person)
            # One whose token reached nobody ends by itself.
            assert 1 <= len(kept) <= 2, name
            assert [missing_in(session) for session in kept] == [[]] * len(kept), name
            with site.store() as store:
                told = [event.code for event in store.get_events(limit=20) if event.email == person.email]
            assert told.count("login_succeeded") <= 2, (name, told)
    print(f"\n{deaths} ends within a login; after {repeated} of them it had to be begun again")
    assert deaths >= len(chosen) - FEWER


def missing_in(session: Session) -> list[str]:
    """What a sign-in sets and is not there."""
    unset = {"lineage", "session_index", "renewal_began_at", "replaced_by", "alias_ends_at", "timed_out_at"}
    return [
        each.name for each in fields(session) if each.name not in unset and getattr(session, each.name) in (None, "")
    ]


def come_back(person: Person) -> None:
    """From the page that must be renewed through the identity provider and back, reloading where a worker dies.

    Nobody is ever asked to sign in: whatever leads to the identity provider is unseen.
    """
    answer = insist(person.get, "/report")
    for _ in range(4):
        if answer.status_code == 200:
            assert answer.text == person.email
            return
        assert answer.status_code == 303, (answer.status_code, answer.text)
        location = answer.headers["Location"]
        if location.startswith(person.site.base_url):
            assert "/sso/login" not in location, "signed out"
            answer = insist(person.get, location)
            continue
        assert is_passive(location)
        answer = insist(person.post, person.log_in(location))
        if answer.status_code == 303:
            answer = insist(person.get, answer.headers["Location"])
        if answer.status_code != 303:
            assert answer.status_code in (400, 403), (answer.status_code, answer.text)
            answer = insist(person.get, "/report")
    raise AssertionError("sent round in circles")


def test_a_renewal_survives_the_end_of_its_worker(site: Site, every: int) -> None:
    """At each point: the person is still signed in, or is renewed unseen once more; there is one session."""
    with dying_at(site, 0), Person(site, "somebody") as person:
        person.sign_in()
        names = points_of_a_renewal(site, person)
    assert {"after begin_renewal", "after claim_assertion", "before renew_session"} <= set(names)

    deaths = 0
    chosen = list(enumerate(names, start=1))[::every]
    for number, name in chosen:
        with Person(site, f"renewal{number}") as person:
            person.sign_in()
            require_renewal(site, person)
            with dying_at(site, number) as points:
                come_back(person)
                deaths += len(points()) >= number
            answer = person.fetch()
            assert (answer.status_code, answer.text) == (200, person.email), name
            (kept,) = sessions_of(site, person)
            assert missing_in(kept) == [], name
    print(f"\n{deaths} ends within a renewal")
    assert deaths >= len(chosen) - FEWER


def points_of_a_renewal(site: Site, person: Person) -> list[str]:
    require_renewal(site, person)
    with dying_at(site, MANY) as points:
        come_back(person)
        return points()


def require_renewal(site: Site, person: Person) -> None:
    with site.store() as store:
        (session,) = store.find_sessions(SessionQuery(email=person.email))
        assert store.make_sessions_stale(SessionQuery(email=person.email), session.last_seen) == 1
