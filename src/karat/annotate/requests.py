"""Sending one request as often as it takes, within budget and rate limits, and keeping every answer."""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import BudgetError, CacheError, EndpointError
from .answer_store import AnswerStore, Ticket
from .endpoint import Endpoint
from .http import HttpReply, Lost, Wire, asked_to_wait
from .protocol import decode, most_tokens, usage
from .saying import Declined, Refused, Unreadable, Useless

_LONGEST = 500
"""Characters of a reason that are kept and shown."""
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_MOST_PAID = 3
"""Unreadable answers paid for before a text is given up, where asking again draws no other answer."""
_MOST_LOST = 3
"""Texts in a row that get no answer before the endpoint is given up, not only the text."""
_MAYBE_BILLED = frozenset({408, 502, 504, 520, 524})
"""A gateway gave up waiting; the model behind it may have answered."""
_OF_THIS_ROW = frozenset({400, 413, 422})
_MAYBE_OF_THIS_ROW = frozenset({403, 451})
"""Refusals that concern a text where the endpoint has answered before."""
_FILTERED = re.compile(r"content[_ -]?(?:filter|policy|management policy)", re.I)
"""A refusal of a request by what the text says."""

T = TypeVar("T")


class RowError(Exception):
    """One text cannot be labelled; others may."""


class Declining(RowError):
    """The model refuses to judge one text."""


class Stopped(Exception):
    """The run has been stopped by an error elsewhere."""


class Pace:
    """Rate limits, most requests and tokens per minute, kept by all threads together."""

    def __init__(self, requests: float | None, tokens: float | None, stop: threading.Event) -> None:
        self.requests, self.tokens, self.stop = requests, tokens, stop
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, tokens: int) -> None:
        """Wait for this request's turn."""
        gap = max(60.0 / self.requests if self.requests else 0.0, 60.0 * tokens / self.tokens if self.tokens else 0.0)
        while True:
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + gap
                    break
                left = self._next - now
            self.rest(left)
        self.rest(0)

    def pause(self, seconds: float) -> None:
        """Nobody sends anything for a while, because the endpoint asked for it."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def rest(self, seconds: float) -> None:
        """Sleep, unless the run is stopped."""
        if (seconds > 0 and self.stop.wait(seconds)) or self.stop.is_set():
            raise Stopped


class Asker:
    """Asks an endpoint and remembers.

    The money is spent on a job, which may cost ``limit`` together with the jobs that share it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        store: AnswerStore,
        job: str,
        limit: int | None,
        shared: Sequence[str] = (),
        offline: bool = False,
        occasion: str = "",
    ) -> None:
        self.endpoint, self.store, self.job, self.limit, self.shared = endpoint, store, job, limit, tuple(shared)
        self.offline, self.occasion = offline, occasion
        self.keys: dict[str, None] = {}
        self.stop = threading.Event()
        self.sent = 0
        self.cached = 0
        self.models: set[str] = set()
        self._wire = Wire(endpoint.url, endpoint.timeout)
        self._pace = Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute, self.stop)
        self._turn = threading.Condition()
        self._flying = 0
        self._lost = 0
        self._answered = False

    def ask(self, body: Mapping[str, Any], round_: int, read: Callable[[Any], T]) -> T:
        """The answer to a request, from the cache or from the endpoint."""
        key = self.key(body, round_)
        found = self._cached(key, read)
        if found is not None:
            self.keys[key] = None
            return found
        if self.offline:
            raise RowError("there is no reply to this request")
        try:
            while not self.store.claim(key):  # somebody else is asking the same
                self._pace.rest(0.05)
            try:
                found = self._cached(key, read)
                return self._persist(key, body, read) if found is None else found
            finally:
                self.store.release(key)
        except (BudgetError, CacheError, EndpointError):
            self.stop.set()  # in this thread, before it can take up another text
            raise

    def _cached(self, key: str, read: Callable[[Any], T]) -> T | None:
        """What can be read from the newest answer that is of use for what is wanted now."""
        for kept in self.store.all(key):
            try:
                value = _look(kept, read)
            except Refused as error:
                with self._turn:
                    self.cached += 1
                self.keys[key] = None
                raise _about_row(error) from None
            except Unreadable:
                continue
            with self._turn:
                self.cached += 1
            return value
        return None

    def _persist(self, key: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """Try until there is an answer, or no more."""
        text = json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
        why, paid = "", 0
        for attempt in range(self.endpoint.retries + 1):
            outcome, given, why, wait = self._once(key, body, text, read)
            if outcome == "answered":
                assert given is not None
                return given
            if outcome == "row":
                raise RowError(why)
            paid += outcome == "unreadable"
            if paid == _MOST_PAID and body.get("temperature") == 0:
                break
            if attempt < self.endpoint.retries:
                self._pace.rest(max(wait or 0.0, self._delay(attempt)))
        why = f"{why} (after {attempt + 1} tries)"
        if outcome == "unreadable":
            raise RowError(why)
        why = f"{self._place()} gives no answer: {why}"
        with self._turn:
            self._lost += outcome == "lost"
            if outcome == "lost" and self._lost < _MOST_LOST:
                raise RowError(why)
        raise EndpointError(
            f"{why}. {self.store.whereabouts}; call again when it is back, or raise retries=, timeout= or lower "
            "concurrency=."
        )

    def key(self, body: Mapping[str, Any], round_: int) -> str:
        """Content hash of a request."""
        about = {"url": self.endpoint.url.rstrip("/"), "api": self.endpoint.api, "round": round_, "body": dict(body)}
        about |= {"occasion": self.occasion} if self.occasion else {}
        return hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=20).hexdigest()

    def close(self) -> None:
        """Close connections."""
        self._wire.close()

    def _once(
        self, key: str, body: Mapping[str, Any], text: bytes, read: Callable[[Any], T]
    ) -> tuple[str, T | None, str, float | None]:
        """One try: its outcome, the value read, why not, and how long the endpoint asks to wait."""
        secret = self.endpoint.key()
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        prompt, completion = most_tokens(body, self.endpoint.media_tokens)
        self._pace.wait(prompt + completion)
        ticket = self._reserve(key, self.endpoint.cost(prompt, completion))
        try:
            self._pace.rest(0)
            response = self._wire.post(self.endpoint.path, text, headers)
        except Stopped:
            self._settle(ticket, "failed", 0, note="not sent")
            raise
        except Lost as error:
            why = clean(str(error), secret, *self._wire.secrets)[:_LONGEST]
            self._settle(ticket, "unknown" if error.sent else "failed", ticket.reserved * error.sent, note=why)
            return ("lost" if error.sent else "passing"), None, why, None
        except BaseException as error:
            kind = type(error).__name__  # not its text, which may quote the headers
            self._settle(ticket, "unknown", ticket.reserved, note=kind)
            if isinstance(error, Exception):
                raise EndpointError(f"{self._place()} cannot be asked ({kind}); check url= and parameters=.") from None
            raise
        if response.status == 200:
            with self._turn:
                self._lost, self._answered = 0, True
            return self._take(ticket, clean(response.text, secret, *self._wire.secrets[:1]), read)
        stated = clean(_message(clean(response.text, secret)), secret, *self._wire.secrets)
        return self._refused(ticket, response, stated[:300])

    def _take(self, ticket: Ticket, text: str, read: Callable[[Any], T]) -> tuple[str, T | None, str, float | None]:
        """Keep what was paid for first, then look at it."""
        billed = usage(text)
        cost = ticket.reserved if billed is None else self.endpoint.cost(*billed)
        try:
            self.store.settle(ticket, "received", cost, billed or (0, 0), text)
        except CacheError:
            self._landed()
            raise
        value, why, outcome = None, "", "answered"
        stop: Exception | None = None
        try:
            value = _look(text, read)
        except Refused as error:  # a good answer that says no class: asking again would say the same
            stop = _about_row(error)
        except Unreadable as error:
            why = printable(str(error))[:_LONGEST]
            outcome = "row" if isinstance(error, Useless) else "unreadable"
        except EndpointError as error:
            stop = error
        self._settle(ticket, "unreadable" if why else "answered", cost, billed or (0, 0), note=why)
        if self.limit is not None and cost > ticket.reserved:
            amount, currency = self.endpoint.amount, self.endpoint.currency
            raise BudgetError(
                f"{self._place()} bills {amount(cost):.6g} {currency} for a request that should have cost at most "
                f"{amount(ticket.reserved):.6g}: the bound does not hold for this endpoint, so no budget can be kept. "
                "The answer is kept; check price= and parameters=, or call without budget=."
            )
        if stop is not None:
            raise stop
        return outcome, value, why, None

    def _refused(self, ticket: Ticket, response: HttpReply, stated: str) -> tuple[str, None, str, float | None]:
        why = f"HTTP {response.status}: {stated}"
        billed = response.status in _MAYBE_BILLED
        self._settle(ticket, "unknown" if billed else "failed", ticket.reserved * billed, note=why[:_LONGEST])
        if response.status in _PASSING and "insufficient_quota" not in response.text:
            wait = asked_to_wait(response.headers)
            if wait is not None:
                if wait > self.endpoint.longest_wait:
                    raise EndpointError(
                        f"{self._place()} asks to wait {wait:.0f} s ({why}), longer than longest_wait="
                        f"{self.endpoint.longest_wait:g}. Call again later. {self.store.whereabouts}."
                    )
                self._pace.pause(wait)
            return ("passing" if response.status == 429 else "lost"), None, why, wait
        if response.status in _OF_THIS_ROW or (self._answered and response.status in _MAYBE_OF_THIS_ROW):
            if _FILTERED.search(response.text):
                raise Declining(why)
            return "row", None, why, None
        hint = " Check the variable named by key_env." if response.status in (401, 403) else ""
        raise EndpointError(f"{self._place()} refuses: {why}.{hint} {self.store.whereabouts}.")

    def _reserve(self, key: str, most: int) -> Ticket:
        """Set money aside; where others' reservations stand in the way, wait until they are settled."""
        with self._turn:
            while True:
                if self.stop.is_set():
                    raise Stopped
                ticket = self.store.reserve(key, self.job, most, self.limit, self.shared)
                if ticket is not None:
                    self._flying += 1
                    self.sent += 1
                    return ticket
                if not self._flying:
                    amount = self.endpoint.amount
                    spent = self.store.spent(sorted({self.job, *self.shared}))
                    raise BudgetError(
                        f"the budget does not pay for the next request: spent {amount(spent):.6g} "
                        f"{self.endpoint.currency} on these questions and models so far, the next request may cost "
                        f"{amount(most):.6g}, and the limit is {amount(self.limit or 0):.6g}; "
                        f"raise budget= and call again. {self.store.whereabouts}."
                    )
                self._turn.wait(1.0)

    def _settle(
        self, ticket: Ticket, state: str, cost: int, tokens: tuple[int, int] = (0, 0), body: str = "", note: str = ""
    ) -> None:
        try:
            self.store.settle(ticket, state, cost, tokens, body, note)
        finally:
            self._landed()

    def _landed(self) -> None:
        with self._turn:
            self._flying -= 1
            self._turn.notify_all()

    def _delay(self, attempt: int) -> float:
        return min(self.endpoint.backoff * 2.0**attempt, self.endpoint.longest_wait) * random.uniform(0.5, 1.0)

    def _place(self) -> str:
        return f"the endpoint {self.endpoint.url} (model {self.endpoint.model!r})"


def _about_row(error: Refused) -> RowError:
    kind = Declining if isinstance(error, Declined) else RowError
    return kind(printable(str(error))[:_LONGEST])


def _look(raw: str, read: Callable[[Any], T]) -> T:
    """What is wanted from a reply, whatever the reply is."""
    try:
        return read(decode(raw))
    except (Unreadable, EndpointError):
        raise
    except Exception as error:
        raise Unreadable(f"the reply is not what the protocol says ({type(error).__name__})") from None


def clean(text: str, *secrets: str | None) -> str:
    r"""Text without secrets, which others may repeat, plain or as JSON escapes them, and without half characters.

    Examples
    --------
    >>> clean(r'{"error": "sk\/1 and sk/\u0031"}', "sk/1", None)
    '{"error": "*** and ***"}'
    """
    text = printable(text)
    for secret in filter(None, secrets):
        forms = (rf"\\{{0,4}}(?:{re.escape(c)}|u{ord(c):04x})" for c in secret)
        text = re.sub("".join(forms), "***", text, flags=re.IGNORECASE)
    return text


def printable(text: str) -> str:
    """Text without half characters, which cannot be written."""
    return text.encode("utf-8", "replace").decode()


def _message(text: str) -> str:
    try:
        stated = decode(text)
    except Unreadable:
        return text.strip() or "no message"
    error = stated.get("error", stated) if isinstance(stated, dict) else stated
    return str(error.get("message", error) if isinstance(error, dict) else error)
