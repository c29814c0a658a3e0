"""One HTTP request with the standard library: kept connections, a deadline for the whole reply, no redirects.

Threads are enough, since what takes time is the model.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import ArgumentError
from .endpoint import private

_IDLE = 15.0
_MOST_BYTES = 2**25


class Lost(Exception):
    """No reply; ``sent`` says whether the request may have reached the endpoint, and so may be billed."""

    def __init__(self, reason: str, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@dataclass(frozen=True)
class HttpReply:
    """A reply; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str


class Wire:
    """Connections to one host, one for each thread, with a time in seconds for a whole reply.

    A proxy that the environment names is used with the user name and password in its address. They go to the proxy,
    never to the endpoint, and into no message.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.parts = urlsplit(url)
        self.timeout = timeout
        self._mine = threading.local()
        self._all: list[http.client.HTTPConnection] = []
        host = self.parts.hostname or ""
        near = self.parts.scheme == "http" and private(host)  # a proxy would read what is meant to stay near
        proxy = None if near or proxy_bypass(host) else getproxies().get(self.parts.scheme)
        self._proxy = _proxy(proxy, self.parts.scheme) if proxy else None
        self.secrets, self._pass = _credentials(self._proxy)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        """Send a request and read the reply."""
        return self.send("POST", path, body, {"Content-Type": "application/json", **headers})

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], most: int = _MOST_BYTES
    ) -> HttpReply:
        """Send a request of any kind and read a reply of so many bytes at most."""
        deadline = time.monotonic() + self.timeout
        link, sent = self._connect(deadline), False
        if self._proxy and self.parts.scheme == "http":
            path, headers = f"http://{self.parts.netloc}{path}", {**headers, **self._pass}
        try:
            if link.sock is None:
                link.connect()
            link.sock.settimeout(_left(deadline))  # not what the request before has left over
            sent = True
            link.request(method, path, body, dict(headers))
            reply = link.getresponse()
            text = self._read(reply, most)
            if reply.will_close:
                self._drop(link)
            self._mine.used = time.monotonic()
            return HttpReply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, text)
        except (OSError, http.client.HTTPException, EOFError) as error:
            self._drop(link)
            late = isinstance(error, TimeoutError)
            why = f"no reply within {self.timeout:g} s" if late else f"{type(error).__name__}: {error}"
            raise Lost(why, sent) from error

    def close(self) -> None:
        """Close all connections."""
        for link in self._all:
            with contextlib.suppress(OSError):
                link.close()

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        link: http.client.HTTPConnection | None = getattr(self._mine, "link", None)
        if link is not None and (time.monotonic() - self._mine.used > _IDLE or not _alive(link)):
            self._drop(link)
            link = None
        if link is None:
            link = self._mine.link = self._open()
        link.timeout = _left(deadline)
        link.response_class = partial(_Timed, deadline)  # type: ignore[assignment]
        return link

    def _open(self) -> http.client.HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        secure = self.parts.scheme == "https"
        at = self._proxy
        place, gate = (at.hostname or "", at.port or 8080) if at else (host, port or (443 if secure else 80))
        link: http.client.HTTPConnection
        if secure:
            link = http.client.HTTPSConnection(place, gate, timeout=self.timeout, context=ssl.create_default_context())
            if at:
                link.set_tunnel(host, port or 443, dict(self._pass))
        else:
            link = http.client.HTTPConnection(place, gate, timeout=self.timeout)
        self._mine.used = time.monotonic()
        self._all.append(link)
        return link

    def _drop(self, link: http.client.HTTPConnection) -> None:
        with contextlib.suppress(OSError):
            link.close()
        self._mine.link = None

    @staticmethod
    def _read(reply: http.client.HTTPResponse, most: int) -> str:
        pieces, size = [], 0
        while piece := reply.read1(2**16):
            size += len(piece)
            if size > most:
                raise http.client.HTTPException(f"the reply is longer than {most // 2**20} MiB")
            pieces.append(piece)
        if reply.length:
            raise http.client.IncompleteRead(b"", reply.length)
        reply.read()  # tells the connection that it is free
        return b"".join(pieces).decode("utf-8", "replace")


class _Timed(http.client.HTTPResponse):
    """A reply whose every byte, those of the headers too, must be there by the deadline."""

    def __init__(self, deadline: float, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        inner: Any = self.fp.detach()
        self.fp: Any = io.BufferedReader(_Clocked(inner, sock, deadline))


class _Clocked(io.RawIOBase):
    """A socket's file with a deadline in place of a timeout for each read."""

    def __init__(self, inner: Any, sock: socket.socket, deadline: float) -> None:
        self._inner, self._sock, self._deadline = inner, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        self._sock.settimeout(_left(self._deadline))
        got: int | None = self._inner.readinto(into)
        return got

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()


def _proxy(address: str, scheme: str) -> SplitResult:
    """A proxy's address, which a message never quotes."""
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        if parts.hostname and parts.scheme in ("", "http") and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise ArgumentError(
        f"the proxy in the variable {scheme}_proxy cannot be used; give http://host:port, or "
        "http://user:password@host:port with %XX for special characters in name and password."
    ) from None


def _credentials(proxy: SplitResult | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """What must not be shown of a proxy, the longest first, and the header that it wants."""
    if proxy is None or proxy.username is None:
        return (), {}
    user, password = unquote(proxy.username), unquote(proxy.password or "")
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return (token, proxy.password or "", password), {"Proxy-Authorization": f"Basic {token}"}


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _alive(link: http.client.HTTPConnection) -> bool:
    """Whether an idle connection can take a request: one that has something to read has been closed over there."""
    if link.sock is None:
        return True
    try:
        with selectors.DefaultSelector() as waiting:
            waiting.register(link.sock, selectors.EVENT_READ)
            return not waiting.select(0)
    except (OSError, ValueError):
        return False


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a reply asks to wait (``Retry-After``: seconds or a date), None when it does not.

    Examples
    --------
    >>> asked_to_wait({"retry-after": "2.5"})
    2.5
    """
    with contextlib.suppress(ValueError, KeyError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    stated = headers.get("retry-after")
    if stated is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(stated))
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time.time())
    return None
