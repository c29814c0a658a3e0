"""``karat app``: planning, drawing, labelling and fitting in the browser, on this machine alone."""

from __future__ import annotations

import argparse
import importlib.util
import secrets
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from ..errors import ArgumentError

EXAMPLE = """example:
  karat app --folder tram-study

opens a page in the browser: plan how many labels, load a table, draw, label, fit. Everything is kept in the folder; the
page is served to this machine alone, and sends nothing anywhere."""
NEEDED = {"starlette": "starlette", "uvicorn": "uvicorn", "jinja2": "jinja2", "python_multipart": "python-multipart"}


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "app", help="open a page in the browser that does all of it", epilog=EXAMPLE,
        description="Plan, draw, label and fit in the browser, on this machine alone.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--folder", default="karat-study", help="where the study is kept (default: karat-study)")
    add("--port", type=int, default=0, help="port on 127.0.0.1 (default: one that is free)")
    add("--no-browser", action="store_true", help="print the address only")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until it is interrupted."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ArgumentError(f"karat app needs {', '.join(missing)}: pip install {' '.join(missing)}.")
    import uvicorn

    from ..app.server import make

    if Path(options.folder).exists() and not Path(options.folder).is_dir():
        raise ArgumentError(f"--folder {options.folder!r} is a file; name a folder.")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", options.port))
    except (OSError, OverflowError) as error:
        raise ArgumentError(f"--port {options.port} cannot be used ({error}); name another, or none.") from None
    port, secret = listening.getsockname()[1], secrets.token_urlsafe(24)
    address = f"http://127.0.0.1:{port}/?key={secret}"
    print(f"karat app keeps the study in {options.folder}\nand is open at {address}\nStop it with Ctrl+C.")
    sys.stdout.flush()
    if not options.no_browser:
        threading.Timer(0.8, webbrowser.open, [address]).start()
    settings = uvicorn.Config(
        make(options.folder, port, secret), log_level="warning", access_log=False, server_header=False
    )
    uvicorn.Server(settings).run(sockets=[listening])
    return 0
