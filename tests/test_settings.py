"""What settings are, and what is said about those that can't be."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import pickle
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sso_middleware.errors import ConfigurationError
from sso_middleware.settings import AttributeMap, ConnectionSettings, Settings

KEY = "q7Rk2vXz0pLm9sTb4wYc6nHd8jFg1aQe"
OLD_KEY = "u3Vn5xZb7qWs9eRd1tGy4hUj6kIo8pLc"
SECRET = "Tz8wQ1-never-print-this-value-9Xy2"
ACME: dict[str, Any] = {
    "id": "acme",
    "organization": "Acme Inc",
    "domains": ["acme.example"],
    "metadata": "<EntityDescriptor/>",
}
GLOBEX = ACME | {"id": "globex", "organization": "Globex", "domains": ["globex.example"]}
ROOT = Path(__file__).parents[1]


def make(**values: Any) -> Settings:
    return Settings(**{"base_url": "https://app.example.com", "secret_keys": [KEY], **values})


def connect(**values: Any) -> ConnectionSettings:
    return ConnectionSettings(**{**ACME, **values})


def problems(**values: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        make(**values)
    return caught.value.problems


def connection_problems(**values: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        connect(**values)
    return caught.value.problems


# What is accepted


def test_two_settings_are_enough() -> None:
    """All but base_url and secret_keys has a default, and the defaults protect everything."""
    settings = make()
    assert settings.protect == ("/",)
    assert settings.public == ()
    assert settings.mode == "everyone"
    assert (settings.hard_timeout, settings.absolute_timeout) == (timedelta(hours=8), timedelta(days=7))
    assert settings.login_timeout == timedelta(minutes=15)
    assert settings.prefix == "/sso"
    assert settings.connections == ()


def test_settings_are_frozen_hashable_and_equal_by_value() -> None:
    """Two that say the same are the same; none can be changed; they survive pickling."""
    one, other = make(connections=[ACME]), make(connections=[connect()])
    assert one == other
    assert hash(one) == hash(other)
    assert one.origin == "https://app.example.com"
    assert pickle.loads(pickle.dumps(one)) == other
    with pytest.raises(ValueError, match="frozen"):
        one.mode = "domains"


@pytest.mark.parametrize(
    ("base_url", "stored", "host", "mount_path"),
    [
        ("https://app.example.com", "https://app.example.com", "app.example.com", ""),
        ("https://app.example.com/", "https://app.example.com", "app.example.com", ""),
        ("HTTPS://App.Example.COM:443/", "https://app.example.com", "app.example.com", ""),
        ("https://app.example.com:8443/", "https://app.example.com:8443", "app.example.com:8443", ""),
        ("https://app.example.com/app/", "https://app.example.com/app", "app.example.com", "/app"),
        ("https://app.example.com/a/b", "https://app.example.com/a/b", "app.example.com", "/a/b"),
        ("https://bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example", ""),
        ("https://intranet", "https://intranet", "intranet", ""),
        ("https://192.0.2.1:80", "https://192.0.2.1:80", "192.0.2.1:80", ""),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]", "[2001:db8::1]", ""),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000", "127.0.0.1:8000", ""),
        ("http://127.9.9.9", "http://127.9.9.9", "127.9.9.9", ""),
        ("http://localhost:80", "http://localhost", "localhost", ""),
        ("http://app.localhost:8000", "http://app.localhost:8000", "app.localhost:8000", ""),
        ("http://[::1]:8000", "http://[::1]:8000", "[::1]:8000", ""),
    ],
)
def test_base_url_has_one_form(base_url: str, stored: str, host: str, mount_path: str) -> None:
    """However it is written, it is kept, compared and joined in one form."""
    settings = make(base_url=base_url)
    assert (settings.base_url, settings.host, settings.mount_path) == (stored, host, mount_path)
    assert settings.origin + mount_path == stored
    assert settings.is_secure == stored.startswith("https:")
    assert settings.is_loopback == stored.startswith("http:")


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "app.example.com",
        "//app.example.com",
        "ftp://app.example.com",
        "http://app.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://0.0.0.0",
        "https://",
        "https:///path",
        "https://user@app.example.com",
        "https://user:password@app.example.com",
        "https://app.example.com?",
        "https://app.example.com/?a=b",
        "https://app.example.com#",
        "https://app.example.com/#a",
        "https://app.example.com:99999",
        "https://app.example.com:x",
        "https://app.example.com\\@evil.example",
        "https://app.example.com/\n",
        " https://app.example.com",
        "https://app\t.example.com",
        "https://app.example.com//app",
        "https://app.example.com/../app",
        "https://app.example.com/a%2fb",
        "https://app.example.com/a;b",
        "https://app.example.com/ü",
        "https://app.example.com./",
        "https://1.2.3",
        "https://a_b.example.com",
        "https://[::1",
        "https://[v1.x]",
    ],
)
def test_a_base_url_that_could_mean_two_things_is_refused(base_url: str) -> None:
    """It is the only source of our URLs: nothing in it is guessed, and http is for loopback only."""
    (problem,) = problems(base_url=base_url)
    assert problem.startswith("base_url: ")


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90m", timedelta(minutes=90)),
        ("30m", timedelta(minutes=30)),
        ("8h", timedelta(hours=8)),
        ("14d", timedelta(days=14)),
        (timedelta(hours=2), timedelta(hours=2)),
    ],
)
def test_durations_have_a_unit(text: object, duration: timedelta) -> None:
    """A number with s, m, h or d, or a timedelta."""
    assert make(hard_timeout=text, absolute_timeout="90d").hard_timeout == duration


@pytest.mark.parametrize(
    "text", ["", "8", 8, 8.0, "8 h", "-8h", "8w", "PT8H", "8:00:00", "1h30m", "٨h", "0s", None, True]
)
def test_a_duration_without_a_unit_is_refused(text: object) -> None:
    """Seconds or minutes? Nobody should have to guess."""
    (problem,) = problems(hard_timeout=text)
    assert problem.startswith("hard_timeout: must be ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hard_timeout", "15d"),
        ("hard_timeout_mobile", "91d"),
        ("soft_timeout", "25h"),
        ("soft_timeout_mobile", "1441m"),
        ("absolute_timeout", "91d"),
        ("revocation_delay", "61s"),
        ("login_timeout", "61m"),
        ("login_timeout", "0m"),
        # seconds are for clocks, not for people
        ("hard_timeout", "90s"),
        ("soft_timeout", "90s"),
    ],
)
def test_durations_have_bounds(name: str, value: str) -> None:
    """Idle 14 days, absolute 90 days, waiting for an identity provider one hour."""
    (problem,) = problems(**{"absolute_timeout": "90d", name: value})
    assert problem.startswith(f"{name}: must be ")


def test_lists_are_read_into_values() -> None:
    """Networks, origins and header names are checked, and kept in the form that is compared."""
    settings = make(
        trusted_proxies=["10.0.0.0/8", "2001:db8::1", ipaddress.ip_network("192.0.2.0/24")],
        allowed_origins=["HTTPS://Other.Example.com:443/"],
        strip_headers=["X-Customer-User"],
    )
    assert settings.trusted_proxies[1] == ipaddress.ip_network("2001:db8::1/128")
    assert settings.allowed_origins == ("https://other.example.com",)
    assert settings.strip_headers == ("X-Customer-User",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", ["10.0.0.1/8"]),
        ("trusted_proxies", ["proxy.example.com"]),
        ("allowed_origins", ["https://other.example.com/path"]),
        ("allowed_origins", ["*"]),
        ("allowed_origins", ["null"]),
        ("strip_headers", ["X Customer"]),
        ("strip_headers", ["X-Customer\r\n"]),
        ("public", ["static"]),
        ("public", [""]),
        ("public", ["//static"]),
        ("public", ["/a//b"]),
        ("public", ["/static//"]),
        ("public", ["/a/../b"]),
        ("public", ["/a/.."]),
        ("public", ["/./a"]),
        ("public", ["/a;b"]),
        ("public", ["/a%2fb"]),
        ("public", ["/a\\b"]),
        ("public", ["/a\0"]),
        ("public", ["/a b"]),
        ("public", ["/*.css?"]),
        ("protect", ["app"]),
        ("cors", ["api/"]),
        ("cacheable", ["/a//"]),
        ("public", "/static"),
        ("secret_keys", KEY),
        ("secret_keys", [7]),
    ],
)
def test_a_wrong_entry_of_a_list_is_named(name: str, value: object) -> None:
    """The problem says which entry of which list, and not what it was."""
    (problem,) = problems(**{name: value})
    assert re.match(rf"{name}(\[0\])?: must ", problem)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "SSO"),
        ("name", "s;o"),
        ("name", ""),
        ("name", "a" * 33),
        ("mode", "all"),
        ("prefix", "sso"),
        ("prefix", "/"),
        ("prefix", "/ü"),
        ("prefix", "/a//b"),
        ("threads", 0),
        ("threads", 65),
        ("threads", "many"),
        ("challenge", "perhaps"),
        ("database_url", "sso.db"),
        ("local_login_url", "login"),
        ("local_login_url", "//evil.example/login"),
        ("local_login_url", "javascript:alert(1)"),
        ("local_login_url", "/login?next=a b"),
        ("local_login_url", "https://user@host.example.com/"),
        ("connections", {"acme": ACME}),
        ("connections", "acme"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    """One problem, that begins with the setting's name and says what it must be."""
    (problem,) = problems(**{name: value})
    assert problem.startswith(f"{name}: must ")


def test_a_prefix_has_no_trailing_slash() -> None:
    """It is joined with page names, so it is kept in one form."""
    assert make(prefix="/auth/sso/").prefix == "/auth/sso"


# Secrets


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        KEY[:31],
        "secret" * 8,
        "change-me-change-me-change-me-change-me",
        "change-me-" + KEY,
        "CHANGE_ME_" + KEY,
        "ChangeMe" + KEY,
        "this-is-an-example-secret-key-of-some-length",
        "replace-with-" + KEY,
        "your-key-goes-here-" + KEY,
        "django-insecure-" + KEY,
        "x" * 64,
        "ab" * 32,
        KEY[:20] * 3,
        "0123456789abcdef" * 2,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "zyxwvutsrqponmlkjihgfedcba9876543210",
        "aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbcd",
        "00112233001122330011223300112233001",
        "abacbcabcbacabbcacbabcaacbbcabacbbca",
        "…newest, signs……newest, signs…",
    ],
)
def test_a_weak_secret_key_is_refused(key: str) -> None:
    """WEB-028: too short, repeated, a row, too few characters, an example; and how to make a better one."""
    (problem,) = problems(secret_keys=[KEY, key])
    assert problem.startswith("secret_keys[1]: ")
    assert "token_urlsafe" in problem
    assert not key or key not in problem


def test_random_secret_keys_are_accepted() -> None:
    """Whatever a generator of random text makes: hexadecimal, base64, digits with letters."""
    for count in range(200):
        digest = hashlib.sha256(f"{count}".encode()).hexdigest()
        make(secret_keys=[digest[:32], digest])


def test_printed_keys_are_refused() -> None:
    """WEB-028: no key that our own documentation prints can protect anything."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py")]
    for page in pages:
        for line in page.read_text(encoding="utf-8").splitlines():
            if "secret_keys" in line:
                for key in re.findall(r"[\"']([^\"'\s]{8,})[\"']", line.partition("secret_keys")[2]):
                    with pytest.raises(ConfigurationError):
                        make(secret_keys=[key])


def test_demo_accepts_a_weak_key_on_loopback_only() -> None:
    """WEB-028: a demo needs no real key, and must not be reached from elsewhere."""
    assert make(base_url="http://localhost:8000", secret_keys=["demo"], demo=True).demo
    (problem,) = problems(secret_keys=["demo"], demo=True)
    assert problem.startswith("demo: ")
    assert problems(base_url="http://localhost:8000", secret_keys=[""], demo=True)
    assert problems(base_url="http://localhost:8000", secret_keys=[], demo=True)


def test_the_same_key_twice_is_refused() -> None:
    """A rotation that rotates nothing is a mistake."""
    assert "twice" in problems(secret_keys=[KEY, KEY])[0]


def test_no_secret_is_printed(tmp_path: Path) -> None:
    """WEB-028: not by repr, str, a dump, JSON or a schema."""
    pem = tmp_path / "sp.pem"
    pem.write_text(f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n")
    settings = make(
        secret_keys=[SECRET, KEY],
        database_url=f"postgresql+psycopg://sso:{SECRET}@db.example.com/sso?password={SECRET}",
        signing_key=pem.read_text(),
        signing_certificate="-----BEGIN CERTIFICATE-----",
        encryption_key=str(pem),
        encryption_certificate="-----BEGIN CERTIFICATE-----",
        connections=[ACME | {"excluded_users": ["it-admin@acme.example"]}],
    )
    assert settings.secret_keys[0].get_secret_value() == SECRET
    assert settings.database_url.count(SECRET) == 2
    told = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())]
    told += [repr(list(settings)[:2])]
    for text in told:
        assert SECRET not in text
        assert KEY not in text
    assert "it-admin" not in repr(settings)
    assert "db.example.com" in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://sso:{SECRET}@host/db",
        f"postgresql+psycopg://sso:a@{SECRET}@host/db",
        f"postgresql+psycopg://sso:{SECRET}/x@host/db",
        f"postgresql+psycopg://:{SECRET}@host/db",
        f"postgresql+psycopg://host/db?user=a&PassWord={SECRET}&sslmode=require",
        f"postgresql+psycopg://host/db?sslpassword={SECRET}",
    ],
)
def test_a_password_is_hidden_wherever_it_is(url: str) -> None:
    """WEB-028: a database URL can hold its password in more than one place."""
    settings = make(database_url=url)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())


@pytest.mark.parametrize(
    "name",
    [
        *(
            "base_url",
            "name",
            "database_url",
            "mode",
            "demo",
            "prefix",
            "local_login_url",
            "sp_entity_id",
            "shared_acs",
        ),
        *("hard_timeout", "absolute_timeout", "threads", "signing_key", "signing_certificate", "connections"),
        *("secret_keys", "protect", "public", "trusted_proxies", "allowed_origins", "strip_headers", "mistyped"),
    ],
)
def test_no_value_is_told_with_its_problem(name: str) -> None:
    """WEB-028: a secret that was put in the wrong place is not told, not even by a reporter that shows variables."""
    for value in (f"\n{SECRET}", [f"\n{SECRET}"], [[SECRET]], {"id": SECRET + "\n", "key": SECRET}):
        values = {"base_url": "https://app.example.com", "secret_keys": [KEY], name: value}
        try:
            Settings(**values)
        except ConfigurationError as error:
            caught = error
        else:
            continue
        told = "".join(traceback.format_exception(caught)) + repr(caught)
        frames = traceback.TracebackException.from_exception(caught, capture_locals=True).stack
        told += "".join(str(frame.locals) for frame in frames if "sso_middleware" in frame.filename)
        assert SECRET not in told
        assert KEY not in told
        assert caught.__context__ is None


def test_a_broken_connection_tells_no_value() -> None:
    """Neither the metadata nor an excluded person's address is told."""
    told = problems(
        connections=[{"id": SECRET, "metadata": SECRET, "excluded_users": [f"{SECRET}@@"], "domains": [SECRET]}]
    )
    assert SECRET not in "".join(told)


# All problems at once


def test_every_problem_is_told_at_once() -> None:
    """Wrong values, unknown names, contradictions and every connection's own problems, in one error."""
    told = problems(
        base_url="http://app.example.com",
        secret_keys=["short"],
        protcet=["/"],
        threads="many",
        protect=["/app", "/static/css"],
        public=["/static", "/sso/x"],
        hard_timeout="2d",
        absolute_timeout="1d",
        sp_entity_id="urn:us",
        connections=[
            ACME | {"attributes": {"emial": "mail"}, "leeway": "6m"},
            ACME | {"id": "login"},
            {"id": "new"},
            7,
            GLOBEX,
            GLOBEX,
        ],
    )
    expected = [
        "base_url: must begin with https://",
        "threads: must be a whole number",
        "protcet: there is no such setting; did you mean protect?",
        "secret_keys[0]: has 5 characters",
        "protect: '/static/css' never takes effect",
        "public: '/sso/x' lies within our own pages",
        "absolute_timeout: must not be shorter than hard_timeout",
        "sp_entity_id: is one entity id for all connections, which needs shared_acs",
        "connections[acme].attributes.emial: there is no such setting; did you mean email?",
        "connections[acme].leeway: must be at most 5m",
        "connections[login].id: is the name of one of our own pages",
        "connections[new].organization: is missing",
        "connections[new].domains: is missing",
        "connections[new].metadata_url: is missing, so no identity provider is named",
        "connections[3]: must be a table",
        "connections: 2 of them have the id 'globex'",
    ]
    for beginning in expected:
        assert sum(problem.startswith(beginning) for problem in told) == 1, (beginning, told)
    assert len(told) == len(expected)


def test_an_error_lists_its_problems() -> None:
    """The text of the error is the list, one line each."""
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    assert str(caught.value) == (
        "- base_url: is missing; it must be given\n"
        '- secret_keys: is missing; make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"'
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"protect": []}, "protect: is empty"),
        ({"public": ["/"]}, "protect: '/' never takes effect"),
        ({"protect": ["/app"], "public": ["/app/"]}, "protect: '/app' never takes effect"),
        ({"public": ["/sso/"]}, "public: '/sso/' lies within our own pages"),
        ({"cors": ["/sso/session"]}, "cors: '/sso/session' lies within our own pages"),
        ({"prefix": "/auth/sso", "public": ["/auth"]}, "prefix: '/auth/sso' lies within '/auth' of public"),
        ({"local_login_url": "/login"}, "local_login_url: is a protected path"),
        ({"local_login_url": "/login?a=/public", "public": ["/public"]}, "local_login_url: is a protected path"),
        ({"local_login_url": "https://app.example.com/login"}, "local_login_url: is a protected path"),
        ({"local_login_url": "https://app.example.com"}, "local_login_url: is a protected path"),
        ({"local_login_url": "/Login", "protect": ["/login"]}, "local_login_url: is a protected path"),
        ({"local_login_url": "/sso/login", "mode": "domains"}, "local_login_url: lies within our own pages"),
        ({"absolute_timeout": "7h"}, "absolute_timeout: must not be shorter"),
        ({"sp_entity_id": "urn:us"}, "sp_entity_id: "),
        ({"signing_key": "-----BEGIN PRIVATE KEY-----"}, "signing_certificate: is missing"),
        ({"encryption_certificate": "-----BEGIN CERTIFICATE-----"}, "encryption_key: is missing"),
        ({"next_signing_certificate": "-----BEGIN CERTIFICATE-----"}, "next_signing_certificate: goes with signing_k"),
        ({"older_encryption_keys": ["-----BEGIN PRIVATE KEY-----"]}, "older_encryption_keys: go with encryption_key"),
        ({"connections": [ACME, ACME | {"domains": ["b.example"]}]}, "connections: 2 of them have the id 'acme'"),
        ({"connections": [ACME, GLOBEX | {"domains": ["ACME.example"]}]}, "connections: the domain 'acme.example'"),
        ({"connections": [ACME, GLOBEX | {"domains": "any"}]}, "connections[globex].domains: "),
        ({"connections": [ACME | {"domains": "any"}], "mode": "domains"}, "connections[acme].domains: "),
        ({"connections": [ACME | {"hard_timeout": "8d"}]}, "connections[acme].absolute_timeout: "),
        ({"connections": [ACME | {"absolute_timeout": "7h"}]}, "connections[acme].absolute_timeout: "),
        ({"soft_timeout": "8h"}, "soft_timeout: must be shorter than hard_timeout"),
        (
            {"soft_timeout": "2h", "hard_timeout_mobile": "1h"},
            "soft_timeout_mobile: must be shorter than",
        ),
        ({"hard_timeout_mobile": "8d"}, "absolute_timeout: must not be shorter than hard_timeout_mobile"),
        (
            {"connections": [ACME | {"hard_timeout": "10m"}], "soft_timeout": "15m"},
            "connections[acme].soft_timeout: must be shorter than its hard_timeout",
        ),
        ({"connections": [ACME | {"hard_timeout_mobile": "8d"}]}, "connections[acme].absolute_timeout: "),
        ({"connections": [ACME | {"acs_paths": ["/sso/acs"]}]}, "connections[acme].acs_paths: '/sso/acs' lies within"),
        ({"connections": [ACME | {"acs_paths": ["/sso"]}]}, "connections[acme].acs_paths: '/sso' lies within"),
        (
            {"connections": [ACME | {"acs_paths": ["/sso/acme/acs"]}], "shared_acs": True},
            "connections[acme].acs_paths: '/sso/acme/acs' lies within our own pages (/sso); list addresses from"
            " before, or '/sso/acs'",
        ),
        (
            {"connections": [ACME | {"acs_paths": ["/sso/globex/acs"]}, GLOBEX]},
            "connections[acme].acs_paths: '/sso/globex/acs' lies within",
        ),
        ({"connections": [ACME | {"acs_paths": ["/a", "/a"]}]}, "connections[acme].acs_paths: lists '/a' twice"),
        (
            {"connections": [ACME | {"acs_paths": ["/sso/acme/acs", "/sso/acme/acs"]}]},
            "connections[acme].acs_paths: lists '/sso/acme/acs' twice",
        ),
        (
            {"connections": [ACME | {"acs_paths": ["/saml"]}, GLOBEX | {"acs_paths": ["/saml"]}]},
            "connections[globex].acs_paths: '/saml' belongs to 'acme'",
        ),
        (
            {"connections": [ACME | {"acs_paths": ["/login"]}], "local_login_url": "/login", "public": ["/login"]},
            "connections[acme].acs_paths: '/login' is local_login_url",
        ),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], problem: str) -> None:
    """Two settings that can't both be meant: the problem says which to change."""
    (told,) = problems(**values)
    assert told.startswith(problem)


@pytest.mark.parametrize(
    "values",
    [
        {"public": ["/static/", "/healthz", "/ssothing"]},
        {"public": ["/büro"], "cors": ["/"], "cacheable": ["/assets"]},
        {"protect": ["/app", "/statics"], "public": ["/static"]},
        {"local_login_url": "/login", "public": ["/login"]},
        {"local_login_url": "/login?next=/app", "protect": ["/app"]},
        {"local_login_url": "/login", "mode": "domains"},
        {"local_login_url": "https://login.example.com/"},
        {"local_login_url": "https://app.example.com/login", "base_url": "https://app.example.com/app"},
        {"shared_acs": True},
        {"shared_acs": True, "sp_entity_id": "urn:us"},
        {"connections": [ACME | {"acs_paths": ["/saml/acs", "/saml/acs/"]}, GLOBEX | {"acs_paths": ["/saml/ACS"]}]},
        {"connections": [ACME | {"acs_paths": ["/sso/acme/acs", "/saml/acs"]}]},
        {"connections": [ACME | {"acs_paths": ["/sso/acs"]}, GLOBEX | {"acs_paths": ["/sso/acs"]}], "shared_acs": True},
        {"connections": [ACME | {"sp_entity_id": "urn:us"}, GLOBEX | {"sp_entity_id": "urn:us"}]},
        {"connections": [ACME | {"domains": "any"}]},
        {"connections": [ACME | {"hard_timeout": "8d", "absolute_timeout": "9d"}]},
        {"connections": [ACME, GLOBEX], "mode": "domains"},
        {"hard_timeout": "7d"},
        {"hard_timeout": "14d", "hard_timeout_mobile": "90d", "absolute_timeout": "90d", "soft_timeout": "24h"},
        {"soft_timeout": "15m", "connections": [ACME | {"hard_timeout": "10m", "soft_timeout": "5m"}]},
    ],
)
def test_what_can_be_meant_is_accepted(values: dict[str, Any]) -> None:
    """The honest twins of the contradictions."""
    make(**values)


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    """A PEM setting is the text or the name of a file; a file that isn't one is told without its content."""
    pem, other = tmp_path / "key.pem", tmp_path / "other"
    pem.write_text("-----BEGIN PRIVATE KEY-----\n…".replace("…", "abc"))
    other.write_text(SECRET)
    settings = make(signing_key=str(pem), signing_certificate=pem)
    assert settings.signing_key is not None
    assert settings.signing_key.get_secret_value() == settings.signing_certificate == pem.read_text()
    for path in (tmp_path / "missing", tmp_path, other):
        told = problems(encryption_key=str(path), encryption_certificate="-----BEGIN CERTIFICATE-----")
        assert [problem.partition(":")[0] for problem in told] == ["encryption_key"]
        assert SECRET not in told[0]


# Connections


def test_a_connection_has_safe_defaults() -> None:
    """What verifies most and accepts least."""
    connection = connect()
    assert connection.enabled
    assert (connection.signed, connection.encryption, connection.idp_initiated) == ("either", "off", "restart")
    assert connection.leeway == timedelta(seconds=120)
    assert connection.required_attributes == ("email", "first_name", "last_name")
    assert connection.attributes == AttributeMap(
        email="Email",
        first_name="FirstName",
        last_name="LastName",
        country="Country",
        department="department",
        roles="role_mapping",
        principal_id=None,
    )
    assert (connection.hard_timeout, connection.absolute_timeout) == (None, None)


def test_domains_and_excluded_users_are_normalised() -> None:
    """They are compared with what identity providers send, so they are kept in that form."""
    connection = connect(
        domains=["ACME.Example", "bücher.example"], excluded_users="IT@Acme.example, it2@bücher.example,"
    )
    assert connection.domains == connection.named_domains == ("acme.example", "xn--bcher-kva.example")
    assert connection.excluded_users == ("it@acme.example", "it2@xn--bcher-kva.example")
    anyone = connect(domains="any", excluded_users=["it@elsewhere.example"])
    assert (anyone.domains, anyone.named_domains) == ("any", ())


@pytest.mark.parametrize(
    "source",
    [
        {"metadata_file": "acme.xml"},
        {"metadata": "<EntityDescriptor/>"},
        {"entity_id": "urn:idp", "sso_url": "https://idp.acme.example/sso", "certificates": ["…"]},
        {"entity_id": "urn:idp", "sso_url": "http://localhost:8001/sso", "certificates": ["…"]},
    ],
)
def test_an_identity_provider_is_named_in_one_of_three_ways(source: dict[str, Any]) -> None:
    """By file, inline, or by hand; a plain http sign-in URL is for loopback only."""
    connect(**({"metadata": None} | source))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"id": "Acme"}, "id: must be up to 63"),
        ({"id": "-acme"}, "id: must be up to 63"),
        ({"id": "a" * 64}, "id: must be up to 63"),
        ({"id": "acme/acs"}, "id: must be up to 63"),
        ({"id": "acme\n"}, "id: must be up to 63"),
        *(({"id": page}, "id: is the name of one of our own pages") for page in ("login", "acs", "scim", "signed-out")),
        ({"organization": " "}, "organization: must not be empty"),
        ({"domains": []}, "domains: is empty"),
        ({"domains": "acme.example"}, 'domains: must be a list of domains, or "any"'),
        ({"domains": ["any"]}, "domains[0]: is not a whole domain name"),
        ({"domains": ["acme.example", "*.acme.example"]}, "domains[1]: must not be a wildcard"),
        ({"domains": ["acme.example."]}, "domains[0]: must not end with a dot"),
        ({"domains": ["@acme.example"]}, "domains[0]: must not begin with @: leave it out"),
        ({"domains": ["acme@acme.example"]}, "domains[0]: is not a domain name"),
        ({"domains": [7]}, "domains[0]: must be a text"),
        ({"domains": ["acme.example", "ACME.example"]}, "domains: lists a domain twice"),
        ({"excluded_users": ["it"]}, "excluded_users[0]: must be a plain e-mail address"),
        ({"excluded_users": "it@acme.example, it@sub.acme.example"}, "excluded_users[1]: is not of this connection's"),
        ({"metadata": None}, "metadata_url: is missing, so no identity provider is named"),
        ({"metadata_file": "x.xml"}, "metadata_file: names the identity provider once more than metadata"),
        ({"sso_url": "https://idp.example/"}, "metadata: names the identity provider once more than sso_url"),
        ({"metadata_url": "https://idp.example/"}, "metadata_url: names the identity provider once more than metadata"),
        ({"metadata": None, "entity_id": "urn:idp"}, "sso_url: is missing; entity_id, sso_url and certificates"),
        ({"certificates": ["certs/ok.pem"]}, "certificates[0]: looks like the name of a file: paste the file's text"),
        ({"metadata": None, "metadata_fiel": "x.xml"}, "metadata_fiel: there is no such setting; did you mean meta"),
        (
            {"metadata_url": "https://u:p@idp.example/", "metadata": None},
            "metadata_url: can't be used: the URL must not",
        ),
        ({"metadata": "one\ntwo"}, "metadata: is neither a URL, nor a file, nor metadata"),
        ({"metadata_max_validity": "30d"}, "metadata_max_validity: is for metadata_url"),
        (
            {"metadata": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"},
            "metadata: holds a certificate; besides, there must be two lines",
        ),
        ({"metadata": " "}, "metadata: must not be empty"),
        ({"sso_url": "javascript:alert(1)"}, "sso_url: must be an absolute URL"),
        ({"sso_url": "http://idp.acme.example/"}, "sso_url: must begin with https://"),
        ({"signed": "none"}, "signed: must be 'either', 'assertion', 'response' or 'both'"),
        ({"encryption": "on"}, "encryption: must be 'off', 'optional' or 'required'"),
        ({"idp_initiated": True}, "idp_initiated: must be 'restart', 'accept' or 'off'"),
        ({"leeway": "301s"}, "leeway: must be at most 5m"),
        ({"leeway": "-1s"}, "leeway: must be a duration"),
        ({"hard_timeout": "15d"}, "hard_timeout: must be at most 14d"),
        ({"required_attributes": ["first_name"]}, 'required_attributes: must hold "email"'),
        ({"required_attributes": ["email", "shoe_size"]}, "required_attributes[1]: must be"),
        ({"attributes": {"email": ""}}, "attributes.email: must not be empty"),
        ({"attributes": "Email"}, "attributes: must be a table"),
        ({"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}, "name_id_format: is transient"),
        (
            {"signature_algorithm": "rsa-sha1"},
            "signature_algorithm: must be 'rsa-sha256', 'rsa-sha384' or 'rsa-sha512'",
        ),
        ({"allowed_signature_algorithms": []}, "allowed_signature_algorithms: is empty"),
        ({"allowed_signature_algorithms": ["rsa-sha1"]}, "allowed_signature_algorithms[0]: must be 'rsa-sha256', "),
        *(
            ({name: value}, f"{name}: must be a date, such as 2026-12-31")
            for name in ("sha1_until", "skip_destination_until")
            for value in ("soon", "2026-12-32", "2026-12-31T00:00:00", datetime(2026, 12, 31, tzinfo=UTC), 1, True)
        ),
        ({"sp_entity_id": "our app"}, "sp_entity_id: must be an entity id"),
        ({"sp_entity_id": "u" * 1025}, "sp_entity_id: must be an entity id"),
        ({"sp_entity_id": " "}, "sp_entity_id: must not be empty"),
        ({"acs_paths": ["/"]}, "acs_paths[0]: must be a path of its own"),
        ({"acs_paths": ["saml/acs"]}, 'acs_paths[0]: must begin with "/"'),
        ({"acs_paths": ["/saml?acs"]}, "acs_paths[0]: must be a plain path"),
        ({"acs_paths": ["/a", "/saml/../acs"]}, 'acs_paths[1]: must not hold "." or ".."'),
        ({"acs_paths": ["/sämi"]}, "acs_paths[0]: must hold no letters beyond ASCII"),
        ({"organisation": "Acme"}, "organisation: there is no such setting; did you mean organization?"),
    ],
)
def test_a_connection_that_can_t_be_is_refused(values: dict[str, Any], problem: str) -> None:
    """One problem, in words that say what to do."""
    told = connection_problems(**values)
    assert len([line for line in told if not line.startswith("metadata: names")]) == 1 or len(told) == 1
    assert any(line.startswith(problem) for line in told), told


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("organization", "organisation"), ("domains", "domain"), ("metadata", "metadta"), ("id", "ids")],
)
def test_a_misspelt_key_is_one_problem(right: str, wrong: str) -> None:
    """It is not told as missing as well, nor what its default would contradict."""
    values = {name: value for name, value in ACME.items() if name != right}
    (told,) = problems(connections=[values | {wrong: ACME[right]}])
    assert told.endswith(f".{wrong}: there is no such setting; did you mean {right}?")


def test_what_a_misspelt_key_is_like_is_judged_where_it_is_given() -> None:
    """Only what was probably meant by it is left aside."""
    told = problems(protects=["/a"], protect=[], public=["/sso"])
    assert [line.partition(":")[0] for line in told] == ["protects", "protect", "public"]


def test_a_setting_of_the_app_below_a_connection_is_told() -> None:
    """TOML gives it to the connection, whatever blank lines there are; its other problems are told beside."""
    told = problems(connections=[ACME | {"protect": ["/"], "leeway": "6m"}])
    assert told == (
        "connections[acme].protect: protect is a setting of the app: move it above the first [[connections]]",
        "connections[acme].leeway: must be at most 5m",
    )


def test_a_transient_name_id_needs_a_principal_id() -> None:
    """With a lasting id among the attributes, the NameID may change."""
    connect(
        name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient", attributes={"principal_id": "objectid"}
    )


def test_a_day_is_a_date_of_toml_or_a_text() -> None:
    """Both say the same."""
    day = date(2026, 12, 31)
    assert connect(sha1_until=day) == connect(sha1_until=" 2026-12-31 ")
    assert connect(skip_destination_until="2026-12-31").skip_destination_until == day


def test_waived_attributes_are_left_out() -> None:
    """An identity provider that sends no names can be used all the same."""
    assert connect(required_attributes=["email"]).required_attributes == ("email",)


# Sources


def load(environ: Mapping[str, str], **values: Any) -> Settings:
    return Settings.load(environ=environ, **values)


ENVIRON = {"SSO_BASE_URL": "https://app.example.com", "SSO_SECRET_KEYS": f"{KEY}, {OLD_KEY}"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sso.toml in the working directory unless a test writes one."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


def test_variables_hold_scalars_and_lists_of_them() -> None:
    """Lists are separated by commas; an empty variable is one that is not set; others' variables are theirs."""
    settings = load(
        ENVIRON
        | {
            "SSO_PUBLIC": "/static, /healthz,",
            "SSO_THREADS": "4",
            "SSO_BACKGROUND": "false",
            "SSO_HARD_TIMEOUT": "1h",
            "SSO_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1",
            "SSO_MODE": "",
            "PATH": "/bin",
            "sso_lower": "x",
        }
    )
    assert [key.get_secret_value() for key in settings.secret_keys] == [KEY, OLD_KEY]
    assert settings.public == ("/static", "/healthz")
    assert (settings.threads, settings.background, settings.mode) == (4, False, "everyone")
    assert settings.hard_timeout == timedelta(hours=1)
    assert len(settings.trusted_proxies) == 2


def test_mistyped_variables_are_refused_at_once() -> None:
    """A variable that means nothing was meant to protect something; tables don't come from variables."""
    with pytest.raises(ConfigurationError) as caught:
        load(ENVIRON | {"SSO_PROTCET": "/", "SSO_CONNECTIONS": SECRET, "SSO_ZZZZ": SECRET, "SSO_THREADS": "0"})
    assert caught.value.problems == (
        "SSO_PROTCET: there is no such setting; did you mean SSO_PROTECT?",
        "SSO_CONNECTIONS: connections can't come from a variable; write them into the TOML file",
        "SSO_ZZZZ: there is no such setting",
        "threads: must be greater than or equal to 1",
    )


def test_keywords_win_over_mapping_variables_and_file(tmp_path: Path) -> None:
    """Setting by setting, the nearest source decides."""
    config = tmp_path / "app.toml"
    config.write_text('name = "file"\nmode = "domains"\nthreads = 2\nprefix = "/file"\nlogin_timeout = "9m"\n')
    settings = load(
        ENVIRON | {"SSO_CONFIG": str(config), "SSO_MODE": "everyone", "SSO_THREADS": "3", "SSO_PREFIX": "/env"},
        mapping={"threads": 4, "prefix": "/map"},
        prefix="/kw",
    )
    assert settings.login_timeout == timedelta(minutes=9)
    assert (settings.name, settings.mode, settings.threads, settings.prefix) == ("file", "everyone", 4, "/kw")


def test_the_default_file_is_read_if_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """./sso.toml, unless SSO_CONFIG or `config` names another."""
    monkeypatch.chdir(tmp_path)
    assert load(ENVIRON).name == "sso"
    Path("sso.toml").write_text('name = "default"')
    Path("other.toml").write_text('name = "other"')
    Path("third.toml").write_text('name = "third"')
    assert load(ENVIRON).name == "default"
    assert load(ENVIRON | {"SSO_CONFIG": "other.toml"}).name == "other"
    assert load(ENVIRON | {"SSO_CONFIG": "other.toml"}, config=Path("third.toml")).name == "third"


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    """The app and the command line find the same files and the same database from any directory."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "sp.pem").write_text("-----BEGIN PRIVATE KEY-----")
    (tmp_path / "sso.toml").write_text(
        f"""
        base_url = "https://app.example.com"
        secret_keys = ["{KEY}"]
        database_url = "sqlite:///data/sso.db"
        signing_key = "keys/sp.pem"
        signing_certificate = "-----BEGIN CERTIFICATE-----"
        encryption_key = "keys/sp.pem"
        encryption_certificate = "-----BEGIN CERTIFICATE-----"
        older_encryption_keys = ["keys/sp.pem", "-----BEGIN PRIVATE KEY-----"]
        [[connections]]
        id = "acme"
        organization = "Acme Inc"
        domains = ["acme.example"]
        metadata_file = "acme.xml"
        attributes = {{ email = "mail" }}
        """
    )
    settings = Settings.load(environ={}, config=tmp_path / "sso.toml")
    assert settings.database_url == f"sqlite:///{tmp_path}/data/sso.db"
    assert settings.connections[0].metadata_file == tmp_path / "acme.xml"
    assert settings.connections[0].attributes.email.name == "mail"
    assert settings.signing_key is not None
    assert settings.signing_certificate == "-----BEGIN CERTIFICATE-----"
    assert [key.get_secret_value() for key in settings.older_encryption_keys] == ["-----BEGIN PRIVATE KEY-----"] * 2


@pytest.mark.parametrize(
    "url", ["sqlite:////var/lib/sso.db", "sqlite://", "sqlite:///:memory:", "postgresql+psycopg://db.example.com/sso"]
)
def test_other_database_urls_in_a_file_stay(tmp_path: Path, url: str) -> None:
    """Only a relative path of a SQLite file is relative to the TOML file."""
    (tmp_path / "sso.toml").write_text(f'database_url = "{url}"')
    assert load(ENVIRON, config=tmp_path / "sso.toml").database_url == url


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "can't be read"),
        (b"name = ", "is not TOML"),
        (f'secret_keys = ["{SECRET}'.encode(), "is not TOML"),
        (b"name = '\xff'", "is not UTF-8"),
    ],
)
def test_a_file_that_can_t_be_read_is_told(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """With its name, without its content, beside other problems, but not with all that it should have held."""
    config = tmp_path / "sso.toml"
    if content is not None:
        config.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load({"SSO_CONFIG": str(config), "SSO_NAMEE": "x"})
    first, second = caught.value.problems
    assert first.startswith(f"{config}: {problem}")
    assert second.startswith("SSO_NAMEE: ")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_not_there_is_the_fault_of_who_named_it(tmp_path: Path) -> None:
    """`config` or SSO_CONFIG; the default file is read only if it is there."""
    missing = tmp_path / "nope.toml"
    with pytest.raises(ConfigurationError, match=r"nope\.toml: can't be read .*: is config right"):
        load(ENVIRON | {"SSO_CONFIG": "other.toml"}, config=missing)
    with pytest.raises(ConfigurationError, match=r"nope\.toml: can't be read .*: is SSO_CONFIG right"):
        load(ENVIRON | {"SSO_CONFIG": str(missing)})


def test_without_a_file_that_is_said_first() -> None:
    """Before what is missing, with the folder and what to do; not where nothing is missing, or a file was read."""
    with pytest.raises(ConfigurationError) as caught:
        load({"SSO_NAMEE": "x"})
    first, *others = caught.value.problems
    assert first == (
        f"no sso.toml in {Path.cwd()}, and SSO_CONFIG is not set: run `sso-middleware init` there, or set SSO_CONFIG"
    )
    assert [line.partition(":")[0] for line in others] == ["SSO_NAMEE", "base_url", "secret_keys"]

    with pytest.raises(ConfigurationError) as caught:
        load(ENVIRON | {"SSO_MODE": "x"})
    assert len(caught.value.problems) == 1
    Path("sso.toml").touch()
    with pytest.raises(ConfigurationError) as caught:
        load({})
    assert [line.partition(":")[0] for line in caught.value.problems] == ["base_url", "secret_keys"]


def test_unknown_names_in_a_file_are_told(tmp_path: Path) -> None:
    """Also within a connection, with what was probably meant."""
    config = tmp_path / "sso.toml"
    config.write_text("protcet = ['/']\n[[connections]]\nid = 'acme'\nmetadata_fiel = 'x'\n[connection]\n")
    with pytest.raises(ConfigurationError) as caught:
        load(ENVIRON, config=config)
    assert "protcet: there is no such setting; did you mean protect?" in caught.value.problems
    assert "connection: there is no such setting; did you mean connections?" in caught.value.problems
    expected = "connections[acme].metadata_fiel: there is no such setting; did you mean metadata_file?"
    assert expected in caught.value.problems


def test_only_load_without_environ_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two instances in one process don't meet: building settings looks at nothing but its arguments."""
    for name in [name for name in os.environ if name.startswith("SSO_")]:
        monkeypatch.delenv(name)
    for name, value in (ENVIRON | {"SSO_NAME": "environment"}).items():
        monkeypatch.setenv(name, value)
    assert Settings.load().name == "environment"
    assert make().name == "sso"
    assert Settings.load(environ=ENVIRON).name == "sso"
