"""One thread for many small matrix products and learners."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def single_threaded(function: Callable[P, T]) -> Callable[P, T]:
    """Run a function with BLAS and OpenMP limited to one thread each.

    Data are handled in blocks that fit the cache and learners are fitted on few rows; a second thread would only
    spin. Processes (``n_jobs``) are the way to use more cores. Whatever limit
    was set before is back afterwards.

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

        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return limited
