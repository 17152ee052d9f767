"""Fetch a document by URL: what egress.py allows, by verified TLS, and never more or longer than agreed.

httpcore2 is the engine of httpx2 (the extra `metadata`), and the layer of it that takes a network
backend: so a connection goes to the addresses that were checked, while the certificate is verified for
the name. It reads no proxy settings, which would undo that. What a document says is not asked here.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpcore2

from .egress import Destination, Guard
from .errors import EgressRefused, MetadataFetchFailed

MAX_REDIRECTS = 3
TOTAL_SECONDS = 30.0
"""For everything, redirects included: whoever sends a byte now and then is not waited for."""
_REDIRECTS = (301, 302, 303, 307, 308)
_GZIP = zlib.MAX_WBITS | 16
_HEADERS = [(b"Accept", b"application/samlmetadata+xml, application/xml, text/xml"), (b"Accept-Encoding", b"identity")]


def default_tls() -> ssl.SSLContext:
    """The system's certificate authorities, or those in SSL_CERT_FILE (a private one's). Always verifying."""
    return ssl.create_default_context()


class Fetcher:
    """Fetches by GET. `clock` counts seconds from anywhere."""

    def __init__(
        self,
        guard: Guard,
        *,
        tls: Callable[[], ssl.SSLContext] = default_tls,
        total_seconds: float = TOTAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._tls = tls
        self._total_seconds = total_seconds
        self._clock = clock

    def __call__(self, url: str, max_bytes: int) -> bytes:
        """The body of what is at `url`. Raises MetadataFetchFailed in words; EgressRefused for a forbidden hop."""
        end = self._clock() + self._total_seconds
        tls = self._tls()
        for _ in range(1 + MAX_REDIRECTS):
            answer = self._get(self._guard.check(url), tls, _Deadline(end, self._clock), max_bytes)
            if isinstance(answer, bytes):
                return answer
            url = _redirected(url, answer)
        raise MetadataFetchFailed(f"more than {MAX_REDIRECTS} redirects")

    def _get(self, to: Destination, tls: ssl.SSLContext, deadline: _Deadline, max_bytes: int) -> bytes | _Redirect:
        url = httpcore2.URL(scheme=to.scheme, host=to.host, port=to.port, target=to.path)
        headers = [(b"Host", _host_header(to)), *_HEADERS]
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=tls, network_backend=_Backend(to, deadline)) as pool,
                pool.stream("GET", url, headers=headers) as response,
            ):
                return _read_answer(to, response, max_bytes)
        except httpcore2.TimeoutException as error:
            raise MetadataFetchFailed(f"{to.host} took longer than {self._total_seconds:g} seconds") from error
        except httpcore2.ConnectError as error:
            raise MetadataFetchFailed(_why_not_connected(to, error)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise MetadataFetchFailed(f"{to.host} broke off, or does not speak HTTP as it should") from error


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


def _redirected(url: str, answer: _Redirect) -> str:
    try:
        return urljoin(url, answer.location)
    except ValueError as error:
        raise MetadataFetchFailed("a redirect to what is not a URL") from error


def _host_header(to: Destination) -> bytes:
    host = f"[{to.host}]" if ":" in to.host else to.host
    is_default = to.port == {"https": 443, "http": 80}[to.scheme]
    return (host if is_default else f"{host}:{to.port}").encode("ascii")


def _why_not_connected(to: Destination, error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{to.host} has no certificate that we accept: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"{to.host} does not speak TLS as it should"
    return f"{to.host} can't be reached on port {to.port}"


# The answer


def _read_answer(to: Destination, response: httpcore2.Response, max_bytes: int) -> bytes | _Redirect:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status in _REDIRECTS and "location" in headers:
        return _Redirect(headers["location"])
    if response.status != 200:
        raise MetadataFetchFailed(f"{to.host} answered with the status {response.status}")
    if headers.get("content-length", "").isdigit() and int(headers["content-length"]) > max_bytes:
        raise _too_large(to, max_bytes)
    body = bytearray()
    for chunk in _decoded(to, headers.get("content-encoding", "identity"), response.iter_stream(), max_bytes):
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(to, max_bytes)
    return bytes(body)


def _decoded(to: Destination, encoding: str, chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """We ask for no compression; gzip is read all the same, but never more of it than `max_bytes` and one."""
    if encoding.strip().lower() in ("", "identity"):
        yield from chunks
        return
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise MetadataFetchFailed(f"{to.host} compresses its answer in a way that we don't read")
    unpacker = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        try:
            yield unpacker.decompress(chunk, max_bytes + 1)
        except zlib.error as error:
            raise MetadataFetchFailed(f"{to.host} says gzip, and sends something else") from error
        if unpacker.unconsumed_tail:
            raise _too_large(to, max_bytes)
    if not unpacker.eof:
        raise MetadataFetchFailed(f"{to.host} broke off in the middle of its answer")


def _too_large(to: Destination, max_bytes: int) -> MetadataFetchFailed:
    return MetadataFetchFailed(
        f"{to.host} sends more than {max_bytes} bytes; a federation's large document is read where entity_id says"
        " whose part of it is wanted"
    )


# The network


@dataclass(frozen=True, slots=True)
class _Deadline:
    end: float
    clock: Callable[[], float]

    def left(self) -> float:
        """Seconds. Raises TimeoutException when there are none."""
        left = self.end - self.clock()
        if left <= 0:
            raise httpcore2.TimeoutException
        return left


class _Backend(httpcore2.NetworkBackend):
    """Connects to the addresses that were checked, one after the other, whatever name it is asked for."""

    def __init__(self, to: Destination, deadline: _Deadline) -> None:
        self._to = to
        self._deadline = deadline
        self._system = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        if (host, port) != (self._to.host, self._to.port):
            raise EgressRefused("a connection to another host than the one that was checked")
        problem: Exception = httpcore2.ConnectError("no address")
        for address in self._to.addresses:
            try:
                return _Stream(self._system.connect_tcp(address, port, self._deadline.left()), self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem


class _Stream(httpcore2.NetworkStream):
    """Waits no longer than to the end of the whole, however the time is divided."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
