"""Mail: what a message looks like, and how it reaches a server: encrypted, or not at all."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.mail_servers import mail_server
from tests.metadata_servers import Authority
from tests.servers import free_port

from sso_middleware.errors import MailFailed
from sso_middleware.mail import Mail, build_message
from sso_middleware.smtp import read_smtp_url, send_by_smtp

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LINK = "https://app.example/sso/recovery-access?token=" + "T" * 60
MAIL = Mail("ada@acme.example", "Your link", f"Hello,\n\n{LINK}\n\nÄ bientôt\n")


def send(url: str, mail: Mail = MAIL) -> None:
    send_by_smtp(read_smtp_url(url), mail, sender="sso@app.example", our_name="app.example", now=NOW)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Believed as the system's own authorities are."""
    authority = Authority()
    pem = tmp_path / "authority.pem"
    pem.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return authority


# The message


def test_a_message_has_what_a_reader_needs() -> None:
    """A link stays one line, and nobody's holiday notice answers."""
    message = build_message(MAIL, sender="sso@app.example", now=NOW)
    assert (message["From"], message["To"], message["Subject"]) == ("sso@app.example", "ada@acme.example", "Your link")
    assert (message["Date"], message["Auto-Submitted"]) == ("Sat, 21 Nov 2026 12:00:00 +0000", "auto-generated")
    assert LINK in message.get_content()
    assert message.as_bytes().isascii()


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("ada@acme.example\r\nBcc: mallory@evil.example", "Hello"),
        ("ada@acme.example, mallory@evil.example", "Hello"),
        ("ada@acme.example", "Hello\nBcc: mallory@evil.example"),
        ("ada@acme.example", "Hello\rBcc: mallory@evil.example"),
        ("", "Hello"),
    ],
)
def test_no_header_is_smuggled_in(to: str, subject: str) -> None:
    """Neither an address nor a subject holds a line break or a second address (WEB-018)."""
    with pytest.raises(ValueError, match="one line each"):
        Mail(to, subject, "text")


def test_no_mail_tells_its_address_or_its_link() -> None:
    """A repr ends in a log."""
    assert "ada" not in repr(MAIL)
    assert "token" not in repr(MAIL)


# The URL


def test_a_url_says_where_and_as_whom() -> None:
    """Ports have the defaults of RFC 6409 and RFC 8314; what is escaped is read."""
    server = read_smtp_url("smtp://sso%40app:p%40ss%2Fword@mail.example")
    assert (server.host, server.port, server.user, server.password) == ("mail.example", 587, "sso@app", "p@ss/word")
    assert not server.is_smtps
    assert read_smtp_url("smtps://mail.example").port == 465
    assert read_smtp_url("smtp://localhost:2525").is_loopback
    assert "word" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "https://mail.example",
        "mail.example:587",
        "smtp://",
        "smtp://mail.example/path",
        "smtp://mail.example?x=hunter2",
        "smtp://hunter2@mail.example",
        "smtp://u:hunter2@mail.example:x",
        "smtp://mail.example\r\nhunter2",
    ],
)
def test_what_is_no_such_url_is_refused_without_the_password(url: str) -> None:
    """In words that don't hold the value."""
    with pytest.raises(ValueError, match=r"^(must|is not|has) ") as raised:
        read_smtp_url(url)
    assert "hunter2" not in str(raised.value)


# The way there


def test_on_this_machine_a_plain_server_will_do() -> None:
    """Such as a relay that listens on loopback only."""
    with mail_server() as box:
        send(f"smtp://127.0.0.1:{box.port}")
    assert (box.recipients, box.was_encrypted) == (["ada@acme.example"], [False])
    assert LINK in box.text()
    assert "Ä bientôt" in box.text()


def test_elsewhere_nothing_is_sent_in_the_clear() -> None:
    """Whoever takes STARTTLS out of the server's answer gets neither the mail nor the password."""
    with mail_server(host="127.0.0.2", needs_login=True) as box, pytest.raises(MailFailed, match="STARTTLS"):
        send(f"smtp://user:p%40ss%2Fword@127.0.0.2:{box.port}")
    assert (box.messages, box.users) == ([], [])


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_with_tls_the_password_and_the_mail_arrive(authority: Authority, tmp_path: Path, scheme: str) -> None:
    """By STARTTLS, or from the first byte on."""
    tls = authority.context_for(tmp_path, "127.0.0.2")
    with mail_server(tls=tls, is_smtps=scheme == "smtps", needs_login=True, host="127.0.0.2") as box:
        send(f"{scheme}://user:p%40ss%2Fword@127.0.0.2:{box.port}")
    assert (box.users, box.recipients, box.was_encrypted) == (["user"], ["ada@acme.example"], [True])


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_a_certificate_of_another_name_is_refused(authority: Authority, tmp_path: Path, scheme: str, host: str) -> None:
    """Also on loopback, where it offers one."""
    tls = authority.context_for(tmp_path, "mail.evil.example")
    with (
        mail_server(tls=tls, is_smtps=scheme == "smtps", host=host) as box,
        pytest.raises(MailFailed, match="certificate") as raised,
    ):
        send(f"{scheme}://{host}:{box.port}")
    assert raised.value.is_server
    assert box.messages == []


@pytest.mark.parametrize(("answer", "is_final"), [("550 no such ada@acme.example", True), ("450 later", False)])
def test_a_recipient_that_is_refused_is_told_by_number(answer: str, is_final: bool) -> None:
    """Another try is in vain after a 5xx; and the text holds no address."""
    with mail_server() as box:
        box.refused["ada@acme.example"] = answer
        with pytest.raises(MailFailed, match=rf"recipient \({answer[:3]}\)") as raised:
            send(f"smtp://127.0.0.1:{box.port}")
    assert (raised.value.is_final, raised.value.is_server) == (is_final, False)
    assert "ada" not in str(raised.value)


def test_a_wrong_password_is_told() -> None:
    """By number; the next try may find that the operator has put it right."""
    with mail_server(needs_login=True) as box, pytest.raises(MailFailed, match=r"password \(535\)") as raised:
        send(f"smtp://user:hunter2@127.0.0.1:{box.port}")
    assert (raised.value.is_final, raised.value.is_server) == (False, True)
    assert "hunter2" not in str(raised.value)


def test_a_server_that_is_down_is_told() -> None:
    """Nobody listens there."""
    with pytest.raises(MailFailed, match="could not be reached") as raised:
        send(f"smtp://127.0.0.1:{free_port()}")
    assert (raised.value.is_final, raised.value.is_server) == (False, True)


def test_a_server_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the connection and says nothing."""
    monkeypatch.setattr("sso_middleware.smtp.SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(MailFailed, match="could not be reached"):
        send(f"smtp://127.0.0.1:{silent.getsockname()[1]}")
