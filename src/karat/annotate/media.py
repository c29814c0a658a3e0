"""Images and sounds that go with a text, as parts of the message."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DataError

if TYPE_CHECKING:
    from ..frames import Table

IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}
SOUNDS = {".wav": "wav", ".mp3": "mp3"}
_MOST_BYTES = 20 * 2**20


class WithMedia(str):
    """A text with images or sounds; equal only to the same text with the same ones.

    Examples
    --------
    >>> WithMedia("a", [{"type": "image_url"}]) == WithMedia("a", [])
    False
    """

    parts: tuple[dict[str, Any], ...]
    digest: str

    def __new__(cls, text: str, parts: Any) -> WithMedia:
        """Make one from the parts of a message."""
        out = super().__new__(cls, text)
        out.parts = tuple(parts)
        out.digest = hashlib.blake2b(repr((text, out.parts)).encode("utf-8", "replace"), digest_size=16).hexdigest()
        return out

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WithMedia) and self.digest == other.digest

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.digest)


def with_media(table: Table, texts: list[str], column: str) -> list[str]:
    """Texts with what a column names: a file or web address of an image, a sound, or a list of them."""
    out: list[str] = []
    for row, (text, given) in enumerate(zip(texts, table.as_given(column, "media").tolist())):
        listed = list(given) if isinstance(given, (list, tuple)) else [given]
        named = [one for one in listed if isinstance(one, (str, Path)) and str(one).strip()]
        if len(named) < len(listed):
            raise DataError(
                f"column {column!r} (media) holds {str(given)[:40]!r} at row {row}; give a file, a web address, or a "
                "list of them, in every row."
            )
        out.append(WithMedia(text, [_part(str(one).strip(), column, row) for one in named]))
    return out


def message_content(content: str, text: str) -> Any:
    """The content of the last message: plain, or in parts where the text has media."""
    if not isinstance(text, WithMedia):
        return content
    return [{"type": "text", "text": content}, *text.parts]


def _part(given: str, column: str, row: int) -> dict[str, Any]:
    if given.startswith(("https://", "http://")):
        return {"type": "image_url", "image_url": {"url": given}}
    path = Path(given)
    ending = path.suffix.lower()
    if ending not in (*IMAGES, *SOUNDS):
        raise DataError(
            f"column {column!r} (media), row {row}: {given[:80]!r} is neither an image ({', '.join(IMAGES)}) nor a "
            f"sound ({', '.join(SOUNDS)})."
        )
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"column {column!r} (media), row {row}: {given[:80]!r} is larger than 20 MiB; make it smaller."
            )
        coded = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise DataError(
            f"column {column!r} (media), row {row}: the file {given[:80]!r} cannot be read: {error.strerror}."
        ) from None
    if ending in IMAGES:
        return {"type": "image_url", "image_url": {"url": f"data:{IMAGES[ending]};base64,{coded}"}}
    return {"type": "input_audio", "input_audio": {"data": coded, "format": SOUNDS[ending]}}


def check_price(texts: Sequence[str], models: Sequence[Any], always: bool = False) -> None:
    """Raise where it is not known what an image or sound costs: of a file at most its bytes, of an address nothing.

    ``always``: files too, since their bytes say little about what they are going to cost.
    """
    shown = [part for t in texts if isinstance(t, WithMedia) for part in t.parts]
    far = [part for part in shown if str(part.get("image_url", {}).get("url", "")).startswith("http")]
    for m in models:
        if getattr(m, "media_tokens", None) is None and (shown if always else far):
            raise ArgumentError(
                f"it is not known what an image or a sound costs with {m.model!r}; set Endpoint(media_tokens=) to the "
                "most prompt tokens that one is billed for, as the vendor's price list says."
            )


def check_media(media: object, models: list[Any]) -> None:
    """Raise where a model cannot be shown images or sounds."""
    if media is None:
        return
    if not isinstance(media, str):
        raise ArgumentError(f"media={media!r} is not allowed; name the column of files.")
    for m in models:
        if getattr(m, "api", None) != "chat":
            raise ArgumentError(f"media is for endpoints with api='chat'; {getattr(m, 'model', m)!r} takes text alone.")
