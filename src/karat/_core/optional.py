"""Libraries that are not on every machine: imported where they are used, with a message that says how to install."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import KaratError

TORCH = "torch --index-url https://download.pytorch.org/whl/cpu"
"""What pip installs for networks: the build without GPU libraries, which is much smaller than the usual one."""


def optional(module: str, what: str, install: str, package: str = "") -> Any:
    """Import a library, or raise an error that says what needs it and how to install it.

    Parameters
    ----------
    module : str
    what : str
        What needs it, in the plural: "plots".
    install : str
        What stands behind ``pip install``.
    package : str, optional
        Name of the library where it is not that of the module.

    Raises
    ------
    KaratError

    Examples
    --------
    >>> optional("no_such_module", "dreams", "'karat[dreams]'")
    Traceback (most recent call last):
    ...
    karat.errors.KaratError: dreams need no_such_module, which is not installed; install it with: pip install ...
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise KaratError(
            f"{what} need {package or module}, which is not installed; install it with: pip install {install}"
        ) from None
