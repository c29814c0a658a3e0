"""``karat labels``: read the annotators' files back into a table with gold columns."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from .questions import RETURNED, add_label, add_people, read_label, read_people
from .tables import ENDINGS, add_reading, open_corpus

if TYPE_CHECKING:
    from ..designs import Sample

EXAMPLE = """example:
  karat labels returned/ --sample gold/sample.json --corpus corpus.csv --out labelled.csv

reads filled CSV and Excel files, files that pages saved and exports of Label Studio, Argilla, doccano, Prodigy and
Potato, checks them against the sample and the table, and writes the table with gold filled in; its other columns stay
as they are written. Then:

  karat fit labelled.csv "hostile ~ length" --surrogate hostile=llm --sample gold/sample.json"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "labels", help="read the annotators' files back into a table with gold", epilog=EXAMPLE,
        description="Check what annotators returned and fill it in as gold.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("files", nargs="+", help=f"what annotators returned: {RETURNED}")
    add("--sample", required=True, help="sample.json that karat draw wrote")
    add("--corpus", required=True, help="the table the sample was drawn from")
    add_reading(parser)
    add("--out", required=True, help=f"table to write: {ENDINGS}")
    add_label(parser, needed="by default as the files were handed out")
    add("--join", default="expert_mean", help="several labels into one: expert_mean (a share), majority (a class), ...")
    add_people(parser)
    add("--missing", choices=("warn", "raise", "ignore"), default="warn", help="drawn documents without a label")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, check, fill in, write."""
    from ..designs import read_sample

    if Path(options.out).resolve() in {Path(f).resolve() for f in (*options.files, options.sample)}:
        raise ArgumentError(f"--out {options.out!r} is one of the files that are read; name another.")
    sample = read_sample(options.sample)
    read = open_corpus(options, sample=sample)
    corpus = read.table
    labels = read_label(options.label, options.codebook) or handed_out(options.files, options.sample, sample)
    labelled = sample.read_labels(
        options.files, corpus, labels=labels, join=options.join, missing=options.missing, **read_people(options)
    )
    read.write(labelled, options.out)
    new = [c for c in labelled.columns if c not in corpus.columns or not labelled[c].equals(corpus[c])]
    for name in new:
        print(f"{name}: {int(labelled[name].notna().sum())} of {len(sample.positions)} drawn documents have gold")
        if between := _between(labelled[name]):
            print(
                f"  in {between} of them people answered differently, and gold is their mean, such as 0.5, which a "
                "logit refuses; settle them with karat adjudicate, or choose --join"
            )
    print(f"  {options.out}")
    return 0


def _between(gold: Any) -> int:
    """Values between 0 and 1 where the others are these."""
    values = gold.dropna()
    if values.dtype.kind not in "fiub" or not values.between(0, 1).all():
        return 0
    return int((~values.isin((0, 1))).sum())


def handed_out(files: Sequence[str], where: str, sample: Sample) -> Any:
    """What was asked, as it stands beside the sample, where no ``labelling.json`` lies with the files."""
    from ..fieldwork.collect import read_manifest
    from ..fieldwork.handout import MANIFEST

    near = [Path(f) if Path(f).is_dir() else Path(f).parent for f in files]
    beside = Path(where).parent / "annotators" / MANIFEST
    if beside.exists() and not any((folder / MANIFEST).exists() for folder in near):
        return read_manifest(beside, sample)["labels"]
    return None
