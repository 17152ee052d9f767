"""Whatever people, identity providers, admins and clocks do, and on whichever worker: who is signed in, and who is not.

Two workers with one database, one clock that mostly goes forward and now and then jumps by an hour, and a
model that knows no more than the limits (docs/sessions.md). It says of each request which of three things
it may be told: "in", "renew" or "out".

- Nobody is in beyond limit + step, nor later than the revocation delay after the session was ended.
- Nobody is out, or asked to renew, before the limit. Absolute limits are exact.
- No identity is ever another's, and what is out stays out.
- One session is sent away unseen at most four times until it is renewed or seen.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.identity_provider import ReceivedRequest, read_redirect
from tests.renewing import limited
from tests.world import BASE_URL, START, Answer, Browser, World

from sso_middleware.flows.sessions import ALIAS_FOR
from sso_middleware.stores import sessions as session_cache
from sso_middleware.stores import tables
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.stores.sql import SqlStore
from sso_middleware.tokens import hash_token

EXAMPLES = 100
"""Histories of one batch: some 20 s."""
SHARE = 0.5
"""Of batches: so there are 100 histories in `make test`, and 5,000 in `make long`."""
MEMORY = Path("/dev/shm")
"""Where there is one the database lies there: a commit to a disk takes longer than all the rest."""
STEPS = 30

SOFT, HARD, ABSOLUTE = timedelta(minutes=10), timedelta(hours=1), timedelta(hours=3)
STEP = timedelta(seconds=30)
DELAY = timedelta(seconds=1)
LOGIN_TIMEOUT = timedelta(minutes=15)
HOUR = timedelta(hours=1)
LIMITS: dict[str, Any] = {
    "connections": [limited(soft_timeout="10m", hard_timeout="1h", absolute_timeout="3h")],
    "sign_ins_per_minute": 100_000,
}

PEOPLE = ("ada", "bob", "cyd")
PAGE = "/report?month=11"
COOKIE = "__Host-sso-session"
people = st.sampled_from(PEOPLE)
browsers = st.integers(0, 1)
workers = st.integers(0, 1)
kinds = st.sampled_from(["navigation", "navigation", "script", "polling"])
moments = st.sampled_from([0.3, 0.6, 1.0, 2.9, 3.1, 9.9, 29.0, 31.0, 60.0])
pauses = st.sampled_from([31.0, 60.0, 100.0])
breaks = st.sampled_from([300.0, 569.0, 599.0, 600.0, 629.0, 630.0, 631.0])
nights = st.sampled_from([2900.0, 3569.0, 3599.0, 3600.0, 3629.0, 3630.0, 7200.0])
answers = st.sampled_from(["same", "another", "no_passive", "never"])
mostly_same = st.sampled_from(["same", "same", "same", "another", "no_passive"])
seen = Counter[str]()
"""How often each outcome came about: a machine that never gets anywhere proves nothing."""


@dataclass
class Chain:
    """What the model knows of one session, under each of its ids."""

    person: str
    cookies: list[str]
    created_at: datetime
    last_seen: datetime
    dead_at: dict[str, datetime] = field(default_factory=dict)
    """When an old cookie is an alias no longer: so long after the newest one came back."""
    ended_at: float | None = None
    """By the clock that nobody sets."""
    ended_on: int | None = None
    """The worker that has ended it, which knows at once; None: somebody else has."""
    stale_at: float | None = None
    sent_away: int = 0
    """Unseen, since it was last renewed or seen."""
    was_sent_away: bool = False
    """Since it was renewed."""

    @property
    def ends_at(self) -> datetime:
        return self.created_at + ABSOLUTE


@dataclass(frozen=True)
class Question:
    """A renewal that the identity provider was asked for."""

    chain: Chain
    cookie: str
    request: ReceivedRequest
    asked_at: datetime


class Workers:
    """Two processes as far as they share nothing but the database, made once: that takes most of the time."""

    def __init__(self, folder: Path, template: Path) -> None:
        shutil.copy(template, folder / "sso.db")
        self.database_url = f"sqlite:///{folder / 'sso.db'}"
        self.worlds: list[World] = []
        for _ in range(2):
            store = SqlStore(self.database_url)
            self.worlds.append(World("wsgi", "plain", store, self.database_url, **LIMITS))
        self.admin = SqlStore(self.database_url)
        self.elapsed = 0.0

    def begin(self) -> None:
        """As if nothing had ever happened."""
        self.elapsed = 0.0
        with self.admin._database.writing() as connection:
            for table in tables.metadata.sorted_tables:
                connection.execute(table.delete())
        for world in self.worlds:
            world.now = START
            sessions = world.sso.site.sessions
            sessions.forget_all()
            sessions.forget_now("")  # whatever its clock says: read at the next request
            world.app.seen.clear()
            world.events.clear()

    def close(self) -> None:
        for world in self.worlds:
            world.store.close()
            world.close()
        self.admin.close()


class Sessions(RuleBasedStateMachine):
    """See the module."""

    shared: Workers

    def __init__(self) -> None:
        super().__init__()
        self.shared.begin()
        self.now = START
        self.requests = 0
        self.ends = 0
        self.jars: list[dict[str, str]] = [{}, {}]
        self.chains: list[Chain] = []
        self.of_cookie: dict[str, Chain] = {}
        self.questions: list[tuple[int, Question]] = []

    # The clocks

    @rule(seconds=st.one_of(moments, breaks))
    def wait(self, seconds: float) -> None:
        self.shared.elapsed += seconds
        self._set_clock(self.now + timedelta(seconds=seconds))

    @precondition(lambda self: self._may_end)
    @rule(seconds=nights)
    def go_home(self, seconds: float) -> None:
        self.ends += 1
        self.wait(seconds)

    @precondition(lambda self: self._may_end)
    @rule(step=st.sampled_from([HOUR, -HOUR]))
    def clock_jumps(self, step: timedelta) -> None:
        self.ends += 1
        self._set_clock(self.now + step)

    def _set_clock(self, now: datetime) -> None:
        self.now = now
        for world in self.shared.worlds:
            world.now = now

    # People

    @initialize(person=people, worker=workers)
    def somebody_is_in(self, person: str, worker: int) -> None:
        self.sign_in(0, person, worker, is_lost=False)

    @rule(number=browsers, person=people, worker=workers, is_lost=st.booleans())
    def sign_in(self, number: int, person: str, worker: int, is_lost: bool) -> None:
        if self._is_in(number) and not self._is_in(1 - number):
            number = 1 - number
        browser = self._browser(number, worker)
        before = self._cookie_of(browser)
        answer = browser.get("/sso/login?again=1&return_to=/report")
        if answer.location == f"{BASE_URL}/report":  # somebody is in already; asking is activity
            self._check(before, worker, "in", is_activity=True)
            self._keep(number, browser)
            return
        request = read_redirect(answer.location)
        assert not request.is_passive
        answer = self._answer(browser, worker, request, person)
        assert answer.location == f"{BASE_URL}/report"
        cookie = self._cookie_of(browser)
        assert cookie is not None
        assert cookie not in self.of_cookie
        if before in self.of_cookie:
            self._end(self.of_cookie[before], worker)
        self._add(Chain(person, [cookie], created_at=self.now, last_seen=self.now))
        if is_lost:
            browser.cookies = dict(self.jars[number])
        self._keep(number, browser)

    @rule(number=browsers, worker=workers, kind=kinds, is_lost=st.booleans())
    def request(self, number: int, worker: int, kind: str, is_lost: bool) -> None:
        self.requests += 1
        if COOKIE not in self.jars[number]:
            number = 1 - number
        browser = self._browser(number, worker)
        self._request(number, browser, worker, kind)
        if not is_lost:
            self._keep(number, browser)

    @rule(number=browsers, worker=workers, finisher=workers, who=mostly_same, is_lost=st.booleans(), later=moments)
    def come_back_and_go_on(
        self, number: int, worker: int, finisher: int, who: str, is_lost: bool, later: float
    ) -> None:
        """After a break, and the identity provider answers; a moment later comes something with the old cookie."""
        asked = len(self.questions)
        self.come_back(number, [worker], 631.0)
        if len(self.questions) == asked:
            return
        number, question = self.questions.pop()
        if who != "same":
            self.ends += 1
        self._answer_to(number, question, worker, finisher, is_lost, who if self._may_end else "same")
        self.request(number, worker, "navigation", is_lost=False)
        self.wait(later)
        browser = self.shared.worlds[finisher].browser()
        browser.cookies = {COOKIE: question.cookie}
        self._request(None, browser, finisher, "script")

    @precondition(lambda self: any(len(chain.cookies) > 1 for chain in self.chains))
    @rule(worker=workers, data=st.data())
    def request_with_an_old_cookie(self, worker: int, data: st.DataObject) -> None:
        """Another tab's, that was under way; or a thief's."""
        old = [cookie for chain in self.chains for cookie in chain.cookies[:-1]]
        browser = self.shared.worlds[worker].browser()
        browser.cookies = {COOKIE: data.draw(st.sampled_from(old))}
        self._request(None, browser, worker, "script")

    @rule(
        number=browsers, tabs=st.lists(workers, min_size=1, max_size=6), seconds=st.sampled_from([600.0, 629.0, 631.0])
    )
    def come_back(self, number: int, tabs: list[int], seconds: float) -> None:
        """After a break, in all tabs at once."""
        number = self._somebody_in(number, tabs[0])
        self.wait(seconds)
        for worker in tabs:
            self.request(number, worker, "navigation", is_lost=False)

    def _request(self, number: int | None, browser: Browser, worker: int, kind: str) -> None:
        before = self._cookie_of(browser)
        app = self.shared.worlds[worker].app
        app.seen.clear()
        if kind == "navigation":
            answer = browser.get(PAGE)
        else:
            answer = browser.fetch("/api", **({"X_SSO_Polling": "1"} if kind == "polling" else {}))
        told, request = self._read(answer, kind)
        chain = self._check(before, worker, told, is_activity=kind != "polling")
        if told == "in":
            assert chain is not None
            assert [each.principal and each.principal.email for each in app.seen] == [f"{chain.person}@acme.example"]
            after = self._cookie_of(browser)
            assert after in (before, chain.cookies[-1])
        if kind == "navigation" and told == "renew":
            assert chain is not None
            assert request is not None or chain.was_sent_away
            if request is not None:
                assert request.is_passive
                chain.sent_away += 1
                chain.was_sent_away = True
                assert chain.sent_away <= 4
                seen[f"sent away {chain.sent_away}"] += 1
                self.questions.append((number or 0, Question(chain, chain.cookies[-1], request, self.now)))
            else:
                seen["try again"] += 1

    def _read(self, answer: Answer, kind: str) -> tuple[str, ReceivedRequest | None]:
        if answer.status == 200:
            return "in", None
        if kind == "navigation":
            if answer.status == 303 and answer.location.startswith(f"{BASE_URL}/sso/login"):
                return "out", None
            return "renew", read_redirect(answer.location) if answer.status == 303 else None
        assert answer.status == 401, answer.text
        code = json.loads(answer.text)["code"]
        return {"reauthentication_required": "renew", "sign_in_required": "out"}[code], None

    @precondition(lambda self: self._may_end)
    @rule(number=browsers, worker=workers)
    def log_out(self, number: int, worker: int) -> None:
        self.ends += 1
        browser = self._browser(number, worker)
        before = self._cookie_of(browser)
        page = browser.get("/sso/logout")
        told = "out" if page.status == 303 else "renew"
        chain = self._check(before, worker, told, is_activity=False, may_be_either=True)
        if page.status == 200:
            assert chain is not None
            browser.post("/sso/logout", {"csrf_token": page.field("csrf_token")})
            assert self._cookie_of(browser) is None
            self._end(chain, worker)
            seen["logged out"] += 1
        self._keep(number, browser)

    @rule(number=browsers, worker=workers)
    def try_again(self, number: int, worker: int) -> None:
        """By a click on the page that says so, or in the script's small window: not unseen, and never in vain."""
        browser = self._browser(number, worker)
        before = self._cookie_of(browser)
        answer = browser.get("/sso/renew?window=1&return_to=/report%3Fmonth%3D11")
        told = "out" if answer.location.startswith(f"{BASE_URL}/sso/login") else "renew"
        chain = self._check(before, worker, told, is_activity=False, may_be_either=True)
        self._keep(number, browser)
        if chain is not None and told != "out":
            request = read_redirect(answer.location)
            assert not request.is_passive
            question = Question(chain, chain.cookies[-1], request, self.now)
            self._answer_to(number, question, worker, worker, False, "same")

    # Histories that chance alone would seldom tell

    @rule(number=browsers, clicks=st.tuples(workers, workers, workers), kind=kinds, first=pauses, then=breaks)
    def go_on_after_a_while(
        self, number: int, clicks: tuple[int, int, int], kind: str, first: float, then: float
    ) -> None:
        """When somebody was last seen is not written each time, and must be known all the same."""
        number = self._somebody_in(number, clicks[0])
        self.try_again(number, clicks[0])
        self.wait(first)
        self.request(number, clicks[1], kind, is_lost=False)
        self.wait(then)
        self.request(number, clicks[2], "script", is_lost=False)

    @precondition(lambda self: self._may_end)
    @rule(number=browsers, worker=workers, seconds=moments)
    def is_revoked_at_work(self, number: int, worker: int, seconds: float) -> None:
        """What passes from memory does so for the revocation delay only."""
        number = self._somebody_in(number, worker)
        for _ in range(2):
            self.request(number, worker, "script", is_lost=False)
        chain = self.of_cookie[self.jars[number][COOKIE]]
        self.ends += 1
        self.shared.admin.end_sessions(self._query(chain, "session")[0], self.now)
        self._end(chain, None)
        self.wait(seconds)
        self.request(number, worker, "navigation", is_lost=False)

    @precondition(lambda self: self._may_end)
    @rule(number=browsers, worker=workers, other=workers, seconds=st.sampled_from([3599.0, 3631.0]))
    def oversleep_and_the_clock_is_set_back(self, number: int, worker: int, other: int, seconds: float) -> None:
        """What was found to be over stays so."""
        number = self._somebody_in(number, worker)
        self.ends += 1
        self.try_again(number, worker)
        self.wait(seconds)
        self.request(number, worker, "script", is_lost=False)
        self.clock_jumps(-HOUR)
        self.wait(1.0)
        self.request(number, other, "script", is_lost=False)

    # The identity provider

    @precondition(lambda self: self.questions)
    @rule(worker=workers, finisher=workers, is_lost=st.booleans(), who=answers)
    def answer_the_newest(self, worker: int, finisher: int, is_lost: bool, who: str) -> None:
        self._answer_to(*self.questions.pop(), worker, finisher, is_lost, who)

    @precondition(lambda self: self.questions)
    @rule(worker=workers, finisher=workers, is_lost=st.booleans(), who=answers)
    def answer_the_oldest(self, worker: int, finisher: int, is_lost: bool, who: str) -> None:
        self._answer_to(*self.questions.pop(0), worker, finisher, is_lost, who)

    @precondition(lambda self: self.questions)
    @rule(worker=workers, finishers=st.lists(workers, min_size=4, max_size=4))
    def answer_all(self, worker: int, finishers: list[int]) -> None:
        """The tabs that woke up together."""
        for finisher in finishers[: len(self.questions)]:
            self._answer_to(*self.questions.pop(0), worker, finisher, False, "same")

    def _answer_to(self, number: int, question: Question, worker: int, finisher: int, is_lost: bool, who: str) -> None:
        if who == "never":
            return
        browser = self._browser(number, finisher)
        before = self._cookie_of(browser)
        chain = self.of_cookie.get(before or "")
        allowed = self._allowed(before, finisher)
        person = question.chain.person
        if who == "another":
            person = PEOPLE[(PEOPLE.index(person) + 1) % len(PEOPLE)]
        reply = self._answer(browser, worker, question.request, None if who == "no_passive" else person)
        is_lasting = question.asked_at <= self.now < question.asked_at + LOGIN_TIMEOUT
        after = self._cookie_of(browser)
        is_news = after is not None and after not in self.of_cookie
        if reply.status >= 400:
            assert not is_lasting, reply.text
            assert after == before
            return
        self._confirm(before)
        is_mine = chain is question.chain and chain.cookies[-1] == question.cookie
        if chain is None or allowed == {"out"}:
            assert reply.location.startswith(f"{BASE_URL}/sso/login")
            assert not is_news
        elif not is_mine:
            assert not is_news
            if "out" not in allowed:
                assert reply.location == BASE_URL + PAGE
        elif is_news:
            assert who == "same"
            assert chain.ended_at is None
            assert allowed & {"in", "renew"}
            assert after is not None
            self._renewed(chain, after)
        elif who != "same" and (reply.status == 200 or after is None):
            assert chain.ended_at is not None or allowed & {"in", "renew"}
            self._end(chain, finisher)
            seen[f"answered {who}"] += 1
        else:
            assert "out" in allowed, (allowed, reply.location)
            assert reply.location.startswith(f"{BASE_URL}/sso/login")
        if not is_lost:
            self._keep(number, browser)

    def _renewed(self, chain: Chain, cookie: str) -> None:
        chain.cookies.append(cookie)
        self.of_cookie[cookie] = chain
        chain.last_seen = self.now
        chain.stale_at = None
        chain.sent_away = 0
        chain.was_sent_away = False
        seen["renewed"] += 1

    def _answer(self, browser: Browser, worker: int, request: ReceivedRequest, person: str | None) -> Answer:
        """The answer is posted to one worker; `finish` is asked for at the browser's own."""
        world = browser.world
        if person is None:
            status = ("Responder", "NoPassive")
            form = world.idp.answer(request, "", now=self.now, status=status, has_assertion=False)
        else:
            form = world.idp.answer(request, f"{person}@acme.example", now=self.now)
        browser.world = self.shared.worlds[worker]
        answer = browser.post(world.acs_url, form, cross_site=True)
        browser.world = world
        return browser.get(answer.location) if answer.status == 303 else answer

    # Admins

    @precondition(lambda self: self._living() and self._may_end)
    @rule(data=st.data(), by=st.sampled_from(["session", "session", "person", "connection"]))
    def revoke(self, data: st.DataObject, by: str) -> None:
        self.ends += 1
        chain = data.draw(st.sampled_from(self._living()))
        query, ended = self._query(chain, by)
        self.shared.admin.end_sessions(query, self.now)
        for each in ended:
            self._end(each, None)

    @precondition(lambda self: self._living())
    @rule(data=st.data(), by=st.sampled_from(["session", "person"]))
    def make_stale(self, data: st.DataObject, by: str) -> None:
        query, stale = self._query(data.draw(st.sampled_from(self._living())), by)
        self.shared.admin.make_sessions_stale(query, self.now)
        for chain in stale:
            if chain.stale_at is None and chain.ended_at is None:
                chain.stale_at = self.shared.elapsed

    def _living(self) -> list[Chain]:
        return [chain for chain in self.chains if chain.ended_at is None]

    def _query(self, chain: Chain, by: str) -> tuple[SessionQuery, list[Chain]]:
        tokens = self.shared.worlds[0].sso.site.tokens
        match by:
            case "connection":
                return SessionQuery(connection_ids=("acme",)), self.chains
            case "person":
                theirs = [each for each in self.chains if each.person == chain.person]
                return SessionQuery(email=f"{chain.person}@acme.example"), theirs
            case _:
                id = hash_token(tokens.verify("session", chain.cookies[-1]))
                return SessionQuery(session_id=id), [chain]

    # The model

    def _allowed(self, cookie: str | None, worker: int) -> set[str]:
        """What a request with this cookie may be told at this worker, now."""
        chain = self.of_cookie.get(cookie or "")
        if chain is None or cookie is None:
            return {"out"}
        elapsed, delay = self.shared.elapsed, DELAY.total_seconds()
        is_ended = chain.ended_at is not None
        if chain.ended_at is not None and (elapsed >= chain.ended_at + delay or worker == chain.ended_on):
            return {"out"}
        if self._is_dead(chain, cookie):
            return {"out"}
        if self.now >= min(chain.ends_at, chain.last_seen + HARD + STEP):
            return {"out"}
        allowed = {"in", "renew", "out"}
        if self.now < chain.last_seen + HARD and not is_ended:
            allowed.discard("out")
        if self.now >= chain.last_seen + SOFT + STEP:
            allowed.discard("in")
        if chain.stale_at is not None and elapsed >= chain.stale_at + delay:
            allowed.discard("in")
        if self.now < chain.last_seen + SOFT and chain.stale_at is None:
            allowed.discard("renew")
        return allowed

    def _check(
        self, cookie: str | None, worker: int, told: str, *, is_activity: bool, may_be_either: bool = False
    ) -> Chain | None:
        """Hold what was told against the model, and learn from it what the model leaves open."""
        allowed = self._allowed(cookie, worker)
        if may_be_either and told == "renew":  # the page tells only that somebody is in, or was until now
            told = "in" if "in" in allowed else told
        assert told in allowed, (told, allowed)
        seen[told] += 1
        chain = self.of_cookie.get(cookie or "")
        if chain is None:
            return None
        if told == "out":
            if not self._is_dead(chain, cookie):
                self._end(chain, worker)
            return chain
        self._confirm(cookie)
        if told == "in" and not may_be_either:
            chain.sent_away = 0
            if is_activity:
                chain.last_seen = max(chain.last_seen, self.now)
        return chain

    def _is_dead(self, chain: Chain, cookie: str | None) -> bool:
        """Whether it is an old one, and no alias any more: a clock that is set back begins its seconds not anew."""
        dead_at = chain.dead_at.get(cookie or "")
        return dead_at is not None and not timedelta() < dead_at - self.now <= 2 * ALIAS_FOR

    def _confirm(self, cookie: str | None) -> None:
        """The newest cookie has come back: the older ones are good for a moment only."""
        chain = self.of_cookie.get(cookie or "")
        if chain is not None and cookie == chain.cookies[-1]:
            for older in chain.cookies[:-1]:
                chain.dead_at.setdefault(older, self.now + ALIAS_FOR)

    def _end(self, chain: Chain, worker: int | None) -> None:
        if chain.ended_at is None:
            chain.ended_at, chain.ended_on = self.shared.elapsed, worker

    def _add(self, chain: Chain) -> None:
        self.chains.append(chain)
        self.of_cookie[chain.cookies[0]] = chain

    # Browsers

    def _browser(self, number: int, worker: int) -> Browser:
        browser = self.shared.worlds[worker].browser()
        browser.cookies = dict(self.jars[number])
        return browser

    def _keep(self, number: int, browser: Browser) -> None:
        self.jars[number] = browser.cookies

    def _somebody_in(self, number: int, worker: int) -> int:
        """A browser in which somebody is signed in: this one, or the other one, or this one from now on."""
        in_ = [each for each in (number, 1 - number) if self._is_in(each)]
        if not in_:
            self.sign_in(number, PEOPLE[number], worker, is_lost=False)
        return next(iter(in_), number)

    def _is_in(self, number: int) -> bool:
        """As far as the model knows; it only guides which browser does something."""
        chain = self.of_cookie.get(self.jars[number].get(COOKIE, ""))
        return chain is not None and chain.ended_at is None

    @property
    def _may_end(self) -> bool:
        """Sessions that all end at once teach little: first they are used, and then a few end."""
        return self.requests >= 2 and self.ends < 4

    @staticmethod
    def _cookie_of(browser: Browser) -> str | None:
        return browser.cookies.get(COOKIE)


@pytest.fixture(scope="module")
def shared(migrated_database: Path) -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="sso-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        made = Workers(Path(folder), migrated_database)
        yield made
        made.close()


def test_who_is_signed_in(batch: int, shared: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of each history ends as the model says; and the histories get far."""
    clock = SimpleNamespace(monotonic=lambda: shared.elapsed)
    monkeypatch.setattr(session_cache, "time", clock)
    monkeypatch.setattr(logging.getLogger("sso_middleware"), "disabled", True)
    machine = type("TheSessions", (Sessions,), {"shared": shared})
    seen.clear()

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )

    assert {"in", "out", "renew", "renewed", "sent away 4", "try again", "logged out"} <= seen.keys(), seen
    assert {"answered another", "answered no_passive"} <= seen.keys(), seen
