"""``karat report``: a page about a fit, or a table of several."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, KaratError

EXAMPLE = """examples:
  karat report fit.json --out report.html --question "Do longer letters support the tram?"
  karat report first.json second.json --out table.docx
  karat report fit.json --compare --out table.docx

reads what `karat fit --out fit.json` wrote. A fit alone and .html give the report: estimates, comparison, design,
checks, plots and a text for a methods section, in one file. Several fits, or another ending (.docx, .xlsx, .tex, .md,
.txt), give a table with the fits side by side, named as their files. --compare: surrogates alone, gold alone and both
together of one fit side by side."""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "report", help="write a report about a fit, or a table of several", description="Write a report or a table.",
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("fits", nargs="+", metavar="FIT", help="files that karat fit wrote with --out FILE.json")
    add("--out", required=True, metavar="FILE", help="report.html; or a table: .docx, .xlsx, .tex, .md, .txt, .html")
    add("--compare", action="store_true", help="a table of one fit: surrogates alone, gold alone, both")
    add("--title", help="title of the page or table")
    add("--question", help="the question in words, for the report of one fit")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read and write."""
    from ..results import Result
    from ..results.tables import table

    out = Path(options.out)
    found = {}
    for name in options.fits:
        path = Path(name)
        if path.stem in found:
            raise ArgumentError(f"two files are named {path.stem!r}; name one of them differently, as columns are.")
        try:
            found[path.stem] = Result.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"{name!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
        except KaratError as error:
            raise ArgumentError(f"{name!r} is not a fit that karat fit wrote: {error}") from None
    if options.compare and len(found) > 1:
        raise ArgumentError("--compare sets the estimators of one fit side by side; give one file.")
    one = len(found) == 1 and out.suffix.lower() in (".html", ".htm") and not options.compare
    if options.question is not None and not one:
        raise ArgumentError("--question goes into the report of one fit, which ends in .html; take it out.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if one:
            next(iter(found.values())).report(out, title=options.title, question=options.question)
        elif options.compare:
            table(next(iter(found.values())).compare(), title=options.title).save(out)
        else:
            table(found, title=options.title).save(out)
    except OSError as error:
        raise ArgumentError(f"--out {str(out)!r} cannot be written: {error.strerror or error}.") from None
    print(f"  {out}")
    return 0
