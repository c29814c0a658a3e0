"""The batch interface of OpenAI-compatible vendors: files up, batches made and looked after, files down."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ..errors import EndpointError
from .endpoint import Endpoint
from .http import HttpReply, Lost, Wire, asked_to_wait
from .protocol import decode
from .requests import clean
from .saying import Unreadable

FINAL = ("completed", "failed", "expired", "cancelled")
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_MOST_BYTES = 2**31
_LEAST_TIME = 300.0
"""Seconds that a file has at least."""
_PAGE, _MOST_PAGES = 100, 100


@dataclass(frozen=True)
class Remote:
    """A batch at the vendor: its name, state, and files of answers."""

    name: str
    state: str
    files: tuple[str, ...]


class BatchWire:
    """Requests to the batch interface, tried again where that can do no harm."""

    def __init__(self, endpoint: Endpoint, whereabouts: str) -> None:
        self.endpoint, self.whereabouts = endpoint, whereabouts
        self.base = urlsplit(endpoint.url).path.rstrip("/")
        self._wire = Wire(endpoint.url, max(endpoint.timeout, _LEAST_TIME))

    def close(self) -> None:
        """Close connections."""
        self._wire.close()

    def find(self, mark: str) -> Remote | None:
        """The batch that carries a mark, None where the vendor has none."""
        after = ""
        for _ in range(_MOST_PAGES):
            query = urlencode({"limit": _PAGE, **({"after": after} if after else {})})
            page = self._json("GET", f"/batches?{query}")
            listed = [item for item in page.get("data") or [] if isinstance(item, Mapping)]
            for item in listed:
                if isinstance(item.get("metadata"), Mapping) and item["metadata"].get("karat") == mark:
                    return _remote(item)
            if not page.get("has_more") or not listed:
                return None
            after = str(listed[-1].get("id"))
        return None

    def create(self, mark: str, bodies: Mapping[str, Any]) -> Remote:
        """Send a file and make a batch of it.

        Making one is not simply tried again: where it is not known what became of it, the vendor's batches are looked
        through first.
        """
        url = self.base + ("/chat/completions" if self.endpoint.api == "chat" else "/completions")
        lines = [{"custom_id": k, "method": "POST", "url": url, "body": body} for k, body in bodies.items()]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        file = self._upload(f"{mark}.jsonl", content)
        about = {
            "input_file_id": file, "endpoint": url, "completion_window": "24h", "metadata": {"karat": mark},
        }  # fmt: skip
        why = ""
        for attempt in range(self.endpoint.retries + 1):
            if attempt:
                time.sleep(self._delay(attempt - 1))
                if (found := self.find(mark)) is not None:
                    return found
            headers = {"Content-Type": "application/json", "Idempotency-Key": mark}
            try:
                reply = self._once("POST", "/batches", json.dumps(about).encode(), headers)
            except Lost as error:
                why = str(error)
                continue
            if reply.status in (200, 201):
                return _remote(self._decoded(reply))
            why = self._why(reply)
            if reply.status not in _PASSING:
                raise EndpointError(f"{self._place()} refuses a batch: {why}. {self.whereabouts}.")
        raise EndpointError(
            f"{self._place()} has not said that it took the batch {mark!r} ({why}). Call again later: it is looked for "
            f"there before it is handed in again. {self.whereabouts}."
        )

    def look(self, name: str) -> Remote:
        """A batch as it is now."""
        return _remote(self._json("GET", f"/batches/{quote(name, safe='')}"))

    def lines(self, about: Remote) -> Iterator[dict[str, Any]]:
        """Answers of a batch, one object each; lines that are none are left out."""
        for name in about.files:
            reply = self._patient("GET", f"/files/{quote(name, safe='')}/content", None, {})
            secrets = (self.endpoint.key(), *self._wire.secrets[:1])
            for line in reply.text.splitlines():
                try:
                    found = decode(clean(line, *secrets))
                except Unreadable:
                    continue
                if isinstance(found, dict):
                    yield found

    def _upload(self, name: str, content: bytes) -> str:
        edge = uuid.uuid4().hex
        body = (
            f'--{edge}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{edge}\r\n'
            f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: application/jsonl\r\n\r\n'
        ).encode() + content + f"\r\n--{edge}--\r\n".encode()  # fmt: skip
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        found = self._decoded(self._patient("POST", "/files", body, headers)).get("id")
        if not isinstance(found, str) or not found:
            raise EndpointError(f"{self._place()} took a file and gave it no id. {self.whereabouts}.")
        return found

    def _json(self, method: str, path: str) -> dict[str, Any]:
        return self._decoded(self._patient(method, path, None, {}))

    def _decoded(self, reply: HttpReply) -> dict[str, Any]:
        try:
            found = decode(reply.text)
        except Unreadable as error:
            raise EndpointError(f"{self._place()}: {error}. {self.whereabouts}.") from None
        if not isinstance(found, dict):
            raise EndpointError(f"{self._place()} answers with a {type(found).__name__} where an object belongs.")
        return found

    def _patient(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HttpReply:
        """A request that does no harm when it is made twice, until it is answered."""
        why, wait = "", 0.0
        for attempt in range(self.endpoint.retries + 1):
            if attempt:
                time.sleep(max(wait, self._delay(attempt - 1)))
            try:
                reply = self._once(method, path, body, headers)
            except Lost as error:
                why = str(error)
                continue
            if reply.status in (200, 201):
                return reply
            why, wait = self._why(reply), asked_to_wait(reply.headers) or 0.0
            if reply.status not in _PASSING or wait > self.endpoint.longest_wait:
                break
        hint = " It may have no batches; label(...) asks one by one." if "404" in why else ""
        raise EndpointError(f"{self._place()}: {method} {path.split('?')[0]} fails: {why}.{hint} {self.whereabouts}.")

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HttpReply:
        secret = self.endpoint.key()
        own = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        try:
            return self._wire.send(method, self.base + path, body, {**headers, **own}, _MOST_BYTES)
        except Lost as error:
            raise Lost(clean(str(error), secret, *self._wire.secrets)[:300], error.sent) from None

    def _why(self, reply: HttpReply) -> str:
        return f"HTTP {reply.status}: {clean(reply.text, self.endpoint.key(), *self._wire.secrets).strip()[:300]}"

    def _delay(self, attempt: int) -> float:
        return min(self.endpoint.backoff * 2.0**attempt, self.endpoint.longest_wait)

    def _place(self) -> str:
        return f"the endpoint {self.endpoint.url}"


def _remote(item: Mapping[str, Any]) -> Remote:
    name, state = item.get("id"), item.get("status")
    if not isinstance(name, str) or not isinstance(state, str):
        raise EndpointError(f"the vendor's word about a batch has no id or status: {str(item)[:120]}.")
    files = [item.get(key) for key in ("output_file_id", "error_file_id")]
    return Remote(name, state, tuple(file for file in files if isinstance(file, str) and file))
