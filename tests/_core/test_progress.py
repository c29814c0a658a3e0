"""Who waits at a terminal is told, nobody else."""

import io
import sys
import time

import pytest

from karat._core import machine


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("asked", "terminal", "seconds", "shown"), [
    (None, True, 0.0, True), (None, True, 60.0, False), (None, False, 0.0, False),
    (False, True, 0.0, False), (True, False, 60.0, True),
])  # fmt: skip
def test_a_bar_where_somebody_waits(asked, terminal, seconds, shown, monkeypatch):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(machine, "QUIET", seconds)
    found = []
    for item in machine.followed(range(4), 4, "planning", asked):
        time.sleep(0.11)
        found.append(item)
    assert found == [0, 1, 2, 3]
    assert ("planning" in stream.getvalue()) == shown
