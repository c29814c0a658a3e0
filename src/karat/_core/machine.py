"""What a machine gives: memory, asked for before it is taken, and one thread for many small matrix products."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..errors import DataError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_inside = 0
_keeper: _Keeper | None = None
_found: tuple[int, ThreadpoolController] | None = None


class _Keeper(threading.Thread):
    """Sets the limits of the whole process to one thread, and back when it is told to."""

    def __init__(self) -> None:
        super().__init__(name="karat-one-thread", daemon=True)
        self.ready, self.leave = threading.Event(), threading.Event()

    def run(self) -> None:
        with _libraries().limit(limits=1):
            self.ready.set()
            self.leave.wait()


def single_threaded(function: Callable[P, T]) -> Callable[P, T]:
    """Run a function with BLAS and OpenMP limited to one thread each.

    Data are handled in blocks that fit the cache and learners are fitted on few rows; a second thread would only
    spin. Processes (``n_jobs``) are the way to use more cores. Whatever limit
    was set before is back afterwards, also where several threads run such functions at once.

    Examples
    --------
    >>> single_threaded(lambda x: x + 1)(1)
    2
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        with _kept(), _libraries().limit(limits=1):
            return function(*args, **kwargs)

    return limited


def _libraries() -> ThreadpoolController:
    """Libraries that have threads. They are looked for again once more modules are there: it takes milliseconds."""
    global _found
    from threadpoolctl import ThreadpoolController

    modules = len(sys.modules)
    if _found is None or _found[0] != modules:
        _found = modules, ThreadpoolController()
    return _found[1]


@contextmanager
def _kept() -> Iterator[None]:
    """Limits of the process hold from the first to come to the last to leave.

    Each of them taking back what it found would leave the limit that another had set. Some limits belong to a thread,
    which sets them for itself besides.
    """
    global _inside, _keeper
    with _lock:
        if _keeper is None:
            _keeper = _Keeper()
            _keeper.start()
            _keeper.ready.wait()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _keeper.leave.set()
                _keeper.join()
                _keeper = None


_SMALL = 2**28
"""Bytes that are taken without asking."""


def available() -> float:
    """Bytes that can still be taken on this machine, the limits of a container included; infinite where not known.

    Examples
    --------
    >>> available() > 0
    True
    """
    free = float("inf")
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = float(line.split()[1]) * 1024
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        free = min(free, float(limit) - float(used))
    return free


def needs(n_bytes: float, what: str, instead: str) -> None:
    """Raise unless there is memory for something large.

    Parameters
    ----------
    n_bytes : float
        Bytes it takes at its largest, copies included.
    what : str
        What takes them, with the numbers that make it large.
    instead : str
        What to do about it.

    Examples
    --------
    >>> needs(8 * 1000, "a table of 1,000 numbers", "give fewer rows")
    """
    if n_bytes < _SMALL:
        return
    free = available()
    if n_bytes > free:
        raise DataError(
            f"{what} would take about {n_bytes / 1e9:,.1f} GB of memory, {max(free, 0) / 1e9:,.1f} GB are "
            f"free; {instead}."
        )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


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
