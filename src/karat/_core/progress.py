"""A word about how far work is that may take long."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

QUIET = 5.0
"""Seconds after which somebody at a terminal is told that work goes on."""


def followed(items: Iterable[Any], total: int, label: str, asked: bool | None) -> Iterator[Any]:
    """Items one by one, with a progress bar on standard error.

    ``asked``: True shows it at once, False never, None after five seconds where somebody sits at a terminal, so that
    files of batch jobs and pages of notebooks hold none.

    >>> list(followed("ab", 2, "letters", None))
    ['a', 'b']
    """
    if asked is False or (asked is None and not sys.stderr.isatty()):
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=label, unit="fit", delay=0.0 if asked else QUIET, leave=bool(asked))
