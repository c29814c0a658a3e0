"""Which tests ``make test`` leaves to ``make test-slow``: those that take long, one function a line.

``make test-all DURATIONS=log.txt`` writes how long each test took; ``python .ci/slow.py log.txt`` makes
``tests/slow.txt`` of it, in an order of names, so that a change is easy to read.
"""

import re
import sys
from collections import Counter
from pathlib import Path

SHARE = 0.0013
"""Share of the time of all tests from which a function is slow: about 1.5 of 1,200 seconds."""
LINE = re.compile(r"^\s*([\d.]+)s (?:call|setup)\s+(\S+?)(?:\[.*)?$")
ALWAYS = ("tests/statistical/", "tests/test_vignettes.py")
"""Slow as a whole."""


def slow(lines):
    """Names of slow functions from the durations that pytest prints."""
    taken = Counter()
    for line in lines:
        if found := LINE.match(line.rstrip()):
            taken[found[2]] += float(found[1])
    least = SHARE * sum(taken.values())
    return sorted(name for name, seconds in taken.items() if seconds >= least and not name.startswith(ALWAYS))


if __name__ == "__main__":
    names = slow(Path(sys.argv[1]).read_text().splitlines())
    (Path(__file__).resolve().parents[1] / "tests" / "slow.txt").write_text("\n".join([*names, ""]))
    print(f"{len(names)} functions")
