"""``karat answers``: tables and exports of labelling tools as one long table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from .questions import add_label, add_people, read_label, read_people

EXAMPLE = """example:
  karat answers coders.xlsx --label hostile=no,yes --coder anna=A --coder ben=B --column document=id --out long.csv

writes a row for each document and annotator, for kt.labels.agreement, aggregate and experts. Files that annotators of a
drawn sample return are read, and checked against it, by `karat labels`."""


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "answers", help="read tables of coders and exports of labelling tools as one long table", epilog=EXAMPLE,
        description="One row per document and annotator from CSV, Excel and labelling tools.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("files", nargs="+", help="tables (.csv, .xlsx), exports (.json, .jsonl), or folders of them")
    add_label(parser, needed="needed")
    add_people(parser)
    parser.add_argument("--out", required=True, help="table to write: .csv, .csv.gz, .tsv, .json, .jsonl, .parquet")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read and write."""
    from ..fieldwork import read_answers
    from ..frames.files import write_file

    if Path(options.out).resolve() in {Path(f).resolve() for f in options.files}:
        raise ArgumentError(f"--out {options.out!r} is one of the files that are read; name another.")
    labels = read_label(options.label)
    if not labels:
        raise ArgumentError("--label is needed: what was answered, for example --label hostile=no,yes.")
    found = read_answers(options.files, labels, **read_people(options))
    write_file(found, options.out)
    people, documents = found["annotator"].nunique(), found["document"].nunique()
    print(f"{len(found)} answers of {people} annotator(s) about {documents} document(s)")
    column = "answer_status" if "answer_status" in found else "status"
    for status, count in found[column].value_counts().items():
        print(f"  {status}: {count}")
    print(f"  {options.out}")
    return 0
