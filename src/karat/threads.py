"""One thread for many small matrix products and learners."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_inside = 0
_blas: Any = None


def single_threaded(function: Callable[P, T]) -> Callable[P, T]:
    """Run a function with BLAS and OpenMP limited to one thread each.

    Data are handled in blocks that fit the cache and learners are fitted on few rows; a second thread would only
    spin. Processes (``n_jobs``) are the way to use more cores. Whatever limit
    was set before is back afterwards, also where several threads run such functions at once.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable

    Examples
    --------
    >>> single_threaded(lambda x: x + 1)(1)
    2
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        from threadpoolctl import threadpool_limits

        with _one_blas_thread(), threadpool_limits(limits=1, user_api="openmp"):
            return function(*args, **kwargs)

    return limited


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """The limit of BLAS holds for the process: the first to come sets it, the last to leave takes it back.

    (That of OpenMP belongs to each thread, which can set its own.)
    """
    global _inside, _blas
    from threadpoolctl import threadpool_limits

    with _lock:
        if _inside == 0:
            _blas = threadpool_limits(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _blas.restore_original_limits()
