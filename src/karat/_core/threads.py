"""One thread for many small matrix products and learners."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_inside = 0
_keeper: _Keeper | None = None


class _Keeper(threading.Thread):
    """Sets the limits of the whole process to one thread, and back when it is told to."""

    def __init__(self) -> None:
        super().__init__(name="karat-one-thread", daemon=True)
        self.ready, self.leave = threading.Event(), threading.Event()

    def run(self) -> None:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
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
        from threadpoolctl import threadpool_limits

        with _kept(), threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return limited


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
