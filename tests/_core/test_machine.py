"""One thread for BLAS while functions run, and the limit of before afterwards, however many run at once."""

import contextlib
import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from karat._core.machine import single_threaded


def limits():
    return {entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "blas"}


def set_to(number):
    """Set the limit of the process, and keep no hold on it."""
    thread = threading.Thread(target=threadpool_limits, args=(number, "blas"))
    thread.start()
    thread.join()


@pytest.fixture(autouse=True)
def two_threads():
    before = limits()
    set_to(2)
    if limits() != {2}:
        pytest.skip("BLAS has one thread here")
    yield
    set_to(max(before))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_limit_is_back_when_the_last_has_left(order):
    entered, leave, inside = threading.Barrier(4), [threading.Event() for _ in order], []

    @single_threaded
    def work(place):
        entered.wait(5)
        leave[place].wait(5)
        inside.append(limits())

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in sorted(order)]
    for thread in threads:
        thread.start()
    entered.wait(5)
    for place in order:
        assert limits() == {1}
        leave[place].set()
        threads[place].join(5)
    assert inside == [{1}] * 3
    assert limits() == {2}


def test_functions_within_functions_and_errors():
    @single_threaded
    def outer():
        return single_threaded(limits)(), limits()

    @single_threaded
    def fails():
        raise KeyError

    assert outer() == ({1}, {1})
    with contextlib.suppress(KeyError):
        fails()
    assert limits() == {2}
    with threadpool_limits(2, user_api="blas"):
        assert outer() == ({1}, {1})
        assert limits() == {2}
