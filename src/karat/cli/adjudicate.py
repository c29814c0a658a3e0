"""``karat adjudicate``: documents on which annotators differ, for somebody who decides."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .labels import handed_out
from .questions import RETURNED, add_format, add_label, add_people, read_formats, read_label, read_people
from .tables import add_reading, read_corpus

EXAMPLE = """example:
  karat adjudicate gold/annotators --sample gold/sample.json --corpus corpus.csv --text body --out gold/third

writes a page with the documents on which annotators differ, and what they answered. Then:

  karat labels gold/annotators gold/third --sample gold/sample.json --corpus corpus.csv --out labelled.csv"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "adjudicate", help="have disagreements of annotators decided", epilog=EXAMPLE,
        description="Write the documents on which annotators differ, with their answers, for somebody who decides.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("files", nargs="+", help=f"what annotators returned: {RETURNED}")
    add("--sample", required=True, help="sample.json that karat draw wrote")
    add("--corpus", required=True, help="the table the sample was drawn from")
    add_reading(parser)
    add("--text", required=True, metavar="COLUMN", help="column with the text")
    add_label(parser, needed="by default as the files were handed out")
    add("--show", action="append", default=[], metavar="COLUMN", help="further column to show; may be repeated")
    add_people(parser)
    add("--by", default="adjudicator", help="who decides: a name, or several with commas (default: adjudicator)")
    add("--apart", type=float, default=0.0, help="how far numbers may lie apart and still agree (default: 0)")
    add("--unflagged", action="store_true", help="leave out documents that are only flagged")
    add("--names", action="store_true", help="show the names of the annotators (default: A, B, ...)")
    add_format(parser, "html")
    add("--instructions", default="", help="text on top of the page")
    add("--out", required=True, metavar="FOLDER", help="where to write")
    add("--overwrite", action="store_true", help="write over files of the same names")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read what was returned, and write what is to be decided."""
    from ..designs import read_sample
    from ..fieldwork.collect import asked

    formats = read_formats(options.format)
    sample = read_sample(options.sample)
    corpus = read_corpus(options, sample)
    labels = read_label(options.label, options.codebook) or handed_out(options.files, options.sample, sample)
    questions = {q.name: q for q in asked(options.files, sample, labels)}
    answers = sample.read_annotations(options.files, corpus, labels=questions, **read_people(options))
    paths: list[Path] = sample.to_adjudication(
        options.out, corpus, options.text, answers, questions, annotators=options.by.split(","), apart=options.apart,
        flagged=not options.unflagged, names=options.names, show=options.show, formats=formats,
        instructions=options.instructions, overwrite=options.overwrite,
    )  # fmt: skip
    for path in paths:
        print(f"  {path}")
    return 0
