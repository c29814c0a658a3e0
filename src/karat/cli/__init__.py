"""The command line: ``karat draw``, ``labels``, ``adjudicate``, ``answers``, ``fit``, ``report``, ``plan`` and ``app``.

Each command is a module of this package with ``register(subparsers)``, which adds its parser and sets
``run`` to a function of the parsed arguments that returns an exit code.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .._version import __version__
from ..errors import KaratError, KaratWarning

COMMANDS = ("draw", "labels", "adjudicate", "answers", "fit", "report", "plan", "app")


def parser() -> argparse.ArgumentParser:
    """The parser with all commands there are."""
    top = argparse.ArgumentParser(prog="karat", description="Valid statistical inference from surrogate labels.")
    top.add_argument("--version", action="version", version=f"karat {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name in COMMANDS:
        if importlib.util.find_spec(f"{__name__}.{name}") is not None:
            importlib.import_module(f".{name}", __name__).register(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        0 when all went well; 2 when an argument, file or table does not fit.
    """
    options = parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", KaratWarning)
        warnings.showwarning = _show
        try:
            return int(options.run(options))
        except KaratError as error:
            print(f"karat {options.command}: {error}", file=sys.stderr)
            return 2


def _show(message: Any, *_: Any, **__: Any) -> None:
    print(f"note: {message}", file=sys.stderr)
