"""PostgreSQL is killed, or stopped, and started again: between the steps of a login, and while people sign in.

Nobody is told that they are signed out, nobody is signed in by it, nothing is written twice, and afterwards
everything goes on.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import httpx
import pytest
from tests.postgres import Cluster
from tests.workers.site import Person, Server, Site, running_site

from sso_middleware.stores.session_records import SessionQuery

pytestmark = pytest.mark.server

DELAY = 1.0
End = Literal["kill", "stop"]


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def site(request: pytest.FixtureRequest, postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two machines, each of two workers."""
    server: Server = request.param
    directory: Path = tmp_path_factory.mktemp("site")
    url = postgres.url(postgres.create_database())
    app = "wsgi" if server == "gunicorn" else "asgi"
    with running_site(directory, server=server, app=app, workers=2, machines=2, database_url=url) as site:
        yield site


@pytest.fixture(autouse=True)
def starts_again(postgres: Cluster) -> Iterator[None]:
    """Whatever a test did."""
    yield
    if not postgres.running:
        postgres.start()


def check_unavailable(answer: httpx.Response) -> None:
    """503, when to come again, and no word of a sign-in or a sign-out; no cookie is set or deleted."""
    assert answer.status_code == 503, (answer.status_code, answer.text[:500])
    assert int(answer.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in answer.headers
    assert "no-store" in answer.headers["Cache-Control"]


STEPS = ("ask for the page", "come from the identity provider", "finish", "see the page")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_outage_between_two_steps_of_a_login(site: Site, postgres: Cluster, end: End, step: str) -> None:
    """The next step is 503; the same step goes on afterwards, by the other machine, and opens one session."""
    name = f"{end}-{STEPS.index(step)}"
    with Person(site, f"old-{name}") as old, Person(site, name, machine=1) as person:
        old.sign_in()
        reached = list(steps_before(person, step))
        ask = next_step(person, step, reached)

        getattr(postgres, end)()
        time.sleep(DELAY + 0.1)
        check_unavailable(ask())
        check_unavailable(old.fetch())
        check_unavailable(old.get("/report"))
        postgres.start()

        person.machine = 0
        answer = ask()
        assert answer.status_code == (200 if step == "see the page" else 303), answer.text[:500]
        if step == "ask for the page":
            person.sign_in()
        elif step == "come from the identity provider":
            assert person.get(answer.headers["Location"]).status_code == 303
        assert person.fetch().text == person.email
        assert old.fetch().text == old.email
        with site.store() as store:
            assert len(store.find_sessions(SessionQuery(email=person.email))) == 1
            codes = [event.code for event in store.get_events(limit=50) if event.email == person.email]
        assert codes == ["login_succeeded"]


def steps_before(person: Person, step: str) -> Iterator[httpx.Response | str]:
    """What was reached of a login, up to the step that will meet the outage."""
    if step == STEPS[0]:
        return
    idp_url = person.go_to_idp()
    assert isinstance(idp_url, str)
    yield idp_url
    if step == STEPS[1]:
        return
    answer = person.post(person.log_in(idp_url))
    assert answer.status_code == 303
    yield answer
    if step == STEPS[2]:
        return
    answer = person.get(answer.headers["Location"])
    assert answer.status_code == 303
    yield answer


def next_step(person: Person, step: str, reached: list[httpx.Response | str]) -> Callable[[], httpx.Response]:
    """A request that can be sent twice, as a person would who comes again."""
    if step in (STEPS[0], STEPS[3]):
        return lambda: person.get("/sso/login?return_to=/report" if step == STEPS[0] else "/report")
    last = reached[-1]
    if isinstance(last, str):
        form = person.log_in(last)
        return lambda: person.post(form)
    return lambda: person.get(last.headers["Location"])


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_memory_is_believed_for_the_delay_and_then_nobody_passes(site: Site, postgres: Cluster, end: End) -> None:
    """Who is signed in is let in for up to a second more, then told 503, and is let in again afterwards."""
    with Person(site, f"{end}-watch") as person:
        person.sign_in()
        seen: list[tuple[float, int]] = []
        ended_at = time.monotonic()
        getattr(postgres, end)()
        is_down = time.monotonic()
        while time.monotonic() < is_down + 2 * DELAY:
            began = time.monotonic()
            seen.append((began - is_down, person.fetch().status_code))
        postgres.start()
        assert person.fetch().text == person.email

    assert {status for _, status in seen} <= {200, 503}
    last = max((at for at, status in seen if status == 200), default=0.0)
    print(f"\nlet in for {last:.3f} s after the {end}, which took {is_down - ended_at:.3f} s")
    assert last <= DELAY
    assert seen[-1][1] == 503


def test_outages_while_people_sign_in(site: Site, postgres: Cluster) -> None:
    """Six people sign in again and again while the database goes and comes five times: 303 or 503, one session each.

    Somebody who is signed in asks all the while, and is never asked to sign in.
    """
    stop = threading.Event()
    seen: Counter[str] = Counter()
    signed_in: list[Person] = []

    def sign_in_again_and_again(number: int) -> None:
        for attempt in range(10_000):
            if stop.is_set():
                return
            person = Person(site, f"many-{number}-{attempt}", machine=number % 2)
            idp_url = person.go_to_idp()
            if isinstance(idp_url, httpx.Response):
                check_unavailable(idp_url)
                seen["503 at the start"] += 1
                person.http.close()
                continue
            form = person.log_in(idp_url)
            answer = person.post(form)
            seen[f"{answer.status_code} at the ACS"] += 1
            if answer.status_code == 303:
                answer = person.get(answer.headers["Location"])
                seen[f"{answer.status_code} at finish"] += 1
            if answer.status_code == 303:
                signed_in.append(person)
            else:
                check_unavailable(answer)
                person.http.close()

    def ask(old: Person) -> None:
        while not stop.is_set():
            answer = old.fetch()
            seen[f"{answer.status_code} for who is signed in"] += 1
            assert answer.status_code in (200, 503)

    with Person(site, "old-many") as old, ThreadPoolExecutor(7) as pool:
        old.sign_in()
        people = [pool.submit(sign_in_again_and_again, number) for number in range(6)]
        people.append(pool.submit(ask, old))
        try:
            for outage in range(5):
                time.sleep(0.7)
                (postgres.kill if outage % 2 else postgres.stop)()
                time.sleep((0.1, 1.3)[outage % 2])
                postgres.start()
            time.sleep(0.7)
        finally:
            stop.set()
        for each in people:
            each.result(60)

        print(f"\n{dict(sorted(seen.items()))}")
        assert {what.partition(" ")[0] for what in seen} <= {"200", "303", "503"}
        assert seen["303 at finish"] > 0
        assert any(what.startswith("503") for what in seen)
        assert old.fetch().text == old.email
        with site.store() as store:
            for person in signed_in:
                assert person.fetch().text == person.email
                assert len(store.find_sessions(SessionQuery(email=person.email))) == 1
                person.http.close()
