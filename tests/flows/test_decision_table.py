"""Every combination of docs/_ext/decision_table.toml: what a domain means just now, and what becomes of a request."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.docs.blocks import ROOT
from tests.flows.intercepting import GLOBEX, LOGIN, is_sent_to_sso, send
from tests.world import Answer, Browser

from sso_middleware import HostUser
from sso_middleware.flows.sessions import KIND
from sso_middleware.stores.configuration_records import StoredConnection, StoredDomain
from sso_middleware.stores.session_records import Session, SessionQuery
from sso_middleware.tokens import hash_token, new_token

TABLE = tomllib.loads((ROOT / "docs" / "_ext" / "decision_table.toml").read_text("utf-8"))
PAGES = {"protected": "/report", "public": "/static/a.css", "login": "/login"}
OWN, ANOTHER = "ada@acme.example", "bob@acme.example"
THEN = datetime(2026, 11, 1, tzinfo=UTC)
Combination = Mapping[str, str]


def combinations(which: str, **fixed: str) -> Iterator[dict[str, str]]:
    columns = {
        name: [fixed[name]] if name in fixed else list(words) for name, words in TABLE[f"{which}_columns"].items()
    }
    for values in itertools.product(*columns.values()):
        yield dict(zip(columns, values, strict=True))


def rows_for(which: str, combination: Combination) -> list[dict[str, Any]]:
    return [
        row
        for row in TABLE[which]
        if all(combination[name] in values for name, values in row.items() if name != "result")
    ]


def result_of(which: str, combination: Combination) -> str:
    (row,) = rows_for(which, combination)
    return str(row["result"])


@pytest.mark.parametrize("which", ["meaning", "decision"])
def test_the_table_is_whole(which: str) -> None:
    """Exactly one row is for each combination, each row is for one, and nothing is named that is not explained."""
    columns = TABLE[f"{which}_columns"]
    assert list(TABLE[f"{which}_heads"]) == list(columns)
    for row in TABLE[which]:
        assert all(set(values) <= set(columns[name]) for name, values in row.items() if name != "result")
    met = [rows_for(which, combination) for combination in combinations(which)]
    assert [rows for rows in met if len(rows) != 1] == []
    assert len({id(rows[0]) for rows in met}) == len(TABLE[which])
    assert {row["result"] for row in TABLE[which]} == set(TABLE[f"{which}s"])
    assert set(TABLE["meanings"]) == set(TABLE["decision_columns"]["means"])


class Scene:
    """One app; its connection and domain are changed at run time, as an admin would."""

    def __init__(self, make_world: MakeWorld, *, mode: str, enforcement: str) -> None:
        other = {"id": "globex", "organization": "Globex", "domains": ["globex.example"], "metadata": GLOBEX.metadata}
        self.world = make_world(
            mode=mode,
            enforcement=enforcement,
            public=["/static", "/login"],
            intercept=[LOGIN],
            connections=[other],
            sign_ins_per_minute=100_000,
        )
        self.stored = StoredConnection("acme", "Acme", {}, "active", 0, THEN, THEN)
        self.world.store.add_connection(self.document("active", excluded="no"))
        self.world.store.add_domain(StoredDomain("acme.example", "acme", "exclusive", THEN, THEN, "operator"))
        self.world.wait(seconds=1)
        self.sessions = {"same": self.sign_in(OWN), "another": self.sign_in(ANOTHER)}

    def document(self, state: str, *, excluded: str) -> StoredConnection:
        settings: dict[str, object] = {"metadata": self.world.idp.metadata, "test_users": [OWN, ANOTHER]}
        # Somebody always is: in `everyone` the host is asked who is signed in there only for the excluded's sake.
        settings["excluded_users"] = ["it1@acme.example", *([OWN] if excluded == "yes" else [])]
        if state == "scheduled":
            settings["enforce_from"], state = "2027-06-01", "active"
        changes: dict[str, Any] = {"settings": settings, "state": state, "version": self.stored.version + 1}
        self.stored = replace(self.stored, **changes)
        return self.stored

    def configure(self, *, domain: str, verified: str, state: str, excluded: str) -> None:
        version = self.stored.version
        assert self.world.store.put_connection(self.document(state, excluded=excluded), replaces=version)
        mode: Any = domain
        verified_at = THEN if verified == "yes" else None
        assert self.world.store.put_domain(StoredDomain("acme.example", "acme", mode, THEN, verified_at, "operator"))
        self.world.wait(seconds=1)

    def sign_in(self, email: str) -> Session:
        """For once by the whole way; later sessions are copies of this one."""
        browser = self.world.browser()
        url = browser.get("/sso/login?connection=acme").location
        connection = self.world.sso.site.connections.get("acme")
        assert connection is not None
        form = self.world.idp.log_in(url, email, now=self.world.now)
        answer = self.world.post_response(form, browser, acs=connection.service_provider.acs_url)
        assert answer.status == 303, answer.text
        (session,) = self.world.store.find_sessions(SessionQuery(email=email))
        return session

    def browser(self, sso: str) -> Browser:
        """One that is signed in so, by a session that nothing has ended yet."""
        browser, site, now = self.world.browser(), self.world.sso.site, self.world.now
        if sso != "none":
            token = new_token()
            times = {
                "created_at": now,
                "authenticated_at": now,
                "last_seen": now,
                "expires_at": now + timedelta(days=1),
            }
            session: Session = replace(self.sessions[sso], id=hash_token(token), **times)  # type: ignore[arg-type]
            self.world.store.add_session(session)
            browser.cookies[site.cookie_name(KIND)] = site.tokens.sign(KIND, token)
        return browser

    def play(self, case: Combination) -> str:
        world = self.world
        host = {"none": None, "own": OWN, "other": "zoe@freelance.example"}[case["host"]]
        world.hooks.user = lambda request: HostUser(host, "1") if host else None
        browser, ended, seen = self.browser(case["sso"]), len(world.hooks.ended), len(world.app.seen)
        page = PAGES[case["path"]]
        answer = send(browser, {"email": OWN}) if case["path"] == "login" else browser.get(page)
        return self.outcome(answer, has_ended=len(world.hooks.ended) > ended, reached=len(world.app.seen) > seen)

    def outcome(self, answer: Answer, *, has_ended: bool, reached: bool) -> str:
        if reached:
            assert (answer.status, has_ended) == (200, False)
            return "passes" if self.world.app.seen[-1].principal is None else "signed_in"
        if answer.status == 403:
            assert has_ended
            assert "host_session_of_another" in answer.text
            return "refused"
        if is_sent_to_sso(answer):
            return "sent"
        assert answer.status == 303
        assert answer.location.startswith(f"{self.world.base_url}/sso/login?")
        return "ended" if has_ended else "asked"


# One configuration that stands for all that mean the same.
STANDS_FOR = {
    "must": {"domain": "exclusive", "verified": "yes", "state": "active"},
    "may": {"domain": "offer", "verified": "yes", "state": "active"},
    "none": {"domain": "exclusive", "verified": "yes", "state": "disabled"},
    "unverified": {"domain": "exclusive", "verified": "no", "state": "active"},
}


@pytest.mark.parametrize("mode", ["everyone", "domains"])
def test_every_decision(make_world: MakeWorld, mode: str) -> None:
    """What becomes of each request, by what the domain means: each combination of the second table."""
    scene = Scene(make_world, mode=mode, enforcement="on")
    for means, configuration in STANDS_FOR.items():
        for excluded in ("yes", "no"):
            scene.configure(**configuration, excluded=excluded)
            for case in combinations("decision", mode=mode, means=means, excluded=excluded):
                assert scene.play(case) == result_of("decision", case), case


TELLING = [
    {"path": "protected", "host": "own", "sso": "none"},
    {"path": "protected", "host": "own", "sso": "another"},
    {"path": "public", "host": "none", "sso": "same"},
    {"path": "login", "host": "none", "sso": "none"},
]
"""Requests that tell the meanings apart, together with the exclusion list."""


@pytest.mark.parametrize("enforcement", ["on", "off"])
def test_every_meaning(make_world: MakeWorld, enforcement: str) -> None:
    """What each combination of the first table means, told by requests that each meaning answers differently."""
    scene = Scene(make_world, mode="domains", enforcement=enforcement)
    for configuration in combinations("meaning", enforcement=enforcement):
        play_all(scene, configuration, "no", TELLING)


@pytest.mark.slow
@pytest.mark.parametrize("enforcement", ["on", "off"])
@pytest.mark.parametrize("mode", ["everyone", "domains"])
def test_all_of_it(make_world: MakeWorld, mode: str, enforcement: str) -> None:
    """Both tables at once: nothing depends on how a meaning came about."""
    scene = Scene(make_world, mode=mode, enforcement=enforcement)
    for configuration in combinations("meaning", enforcement=enforcement):
        for excluded in ("yes", "no"):
            cases = combinations("decision", mode=mode, means="must", excluded=excluded)
            play_all(scene, configuration, excluded, [{n: case[n] for n in ("path", "host", "sso")} for case in cases])


def play_all(scene: Scene, configuration: dict[str, str], excluded: str, cases: list[dict[str, str]]) -> None:
    means = result_of("meaning", configuration)
    made_so = {name: value for name, value in configuration.items() if name != "enforcement"}
    scene.configure(**made_so, excluded=excluded)
    for case in cases:
        asked = {**case, "mode": scene.world.settings.mode, "means": means, "excluded": excluded}
        assert scene.play(asked) == result_of("decision", asked), (configuration, asked)
