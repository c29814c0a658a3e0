"""Memory is asked for before it is taken."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError

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
