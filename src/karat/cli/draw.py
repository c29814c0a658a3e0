"""``karat draw``: draw a gold sample from a table and write the annotators' files."""

from __future__ import annotations

import argparse
import contextlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from .questions import add_format, add_label, read_formats, read_label
from .tables import ENDINGS, add_reading, open_corpus

if TYPE_CHECKING:
    from ..designs import Design

_OPTIONS = {
    "simple": ("n",),
    "stratified": ("n", "by", "allocation"),
    "clustered": ("n", "cluster", "by", "size", "method", "floor"),
    "unequal": ("n", "size", "by", "method", "floor"),
    "bernoulli": ("probability",),
}
"""Options of each design."""

_NEEDED = {"simple": ("n",), "stratified": ("n", "by"), "clustered": ("n", "cluster"), "unequal": ("size",),
           "bernoulli": ("probability",)}  # fmt: skip

EXAMPLE = """example:
  karat draw corpus.csv --design stratified --by party --n 400 --seed 7 --id document \\
      --text body --label hostile=no,yes --annotators 2 --overlap 1.2 --out gold

writes gold/sample.json (keep it: the fit and `karat labels` need it), gold/drawn.csv (the drawn rows with
probabilities; not for annotators) and, with --text, the folder gold/annotators to hand out."""


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "draw", help="draw a gold sample and write the annotators' files", epilog=EXAMPLE,
        description="Draw documents for expert labels with known probabilities.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("corpus", help=f"table of all documents: {ENDINGS}")
    add_reading(parser)
    add("--design", choices=tuple(_OPTIONS), default="simple", help="how to draw (default: simple)")
    add("--n", help="how many to draw, or per stratum: east=40,west=60; clusters where clusters are drawn")
    add("--by", action="append", metavar="COLUMN", help="stratum column; may be repeated")
    add("--allocation", choices=("proportional", "equal"), help="how n is shared out (stratified)")
    add("--cluster", metavar="COLUMN", help="column that names clusters drawn whole (clustered)")
    add("--size", metavar="COLUMN", help="column of sizes that probabilities are proportional to (unequal, clustered)")
    add("--method", choices=("sampford", "systematic"), help="how units of unequal size are drawn")
    add("--floor", type=float, help="smallest inclusion probability (unequal, clustered by size)")
    add("--probability", help="inclusion probability: a number or a column (bernoulli)")
    add("--id", metavar="COLUMN", help="column that names each row; lets the table be reordered later")
    add("--seed", type=int, help="same seed, same table, same sample (default: a random one, which is reported)")
    add("--after", metavar="SAMPLE", help="sample.json of earlier waves: draw a further wave among the other rows")
    add("--share", type=float, help="share of the new wave in the estimate (with --after)")
    add("--text", metavar="COLUMN", help="column with the text to label; writes the annotators' files")
    add_label(parser, needed="needed with --text")
    add("--show", action="append", default=[], metavar="COLUMN", help="further column to show; may be repeated")
    add("--annotators", default="1", help="how many people, or their names: anna,ben (default: 1)")
    add("--overlap", type=float, default=1.0, help="labels per document, 1.2 gives a random fifth to two (default: 1)")
    add_format(parser, "both")
    add("--instructions", default="", help="text on top of pages and in Label Studio; guidelines in Argilla")
    add("--out", required=True, metavar="FOLDER", help="where to write; must be new or empty")
    add("--overwrite", action="store_true", help="write into a folder that holds files, over those of the same names")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw and write."""
    from ..designs import read_sample

    design = read_design(options)
    _check(options)
    out = Path(options.out)
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"--out {str(out)!r} is a file; name a folder.")
    if not options.overwrite and out.exists() and any(out.iterdir()):
        raise ArgumentError(
            f"--out {str(out)!r} holds files already; a sample is not drawn over another. Name a new folder, or insist "
            "with --overwrite."
        )
    earlier = read_sample(options.after) if options.after else None
    read = open_corpus(options, sample=earlier)
    corpus = read.table
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    if earlier is not None:
        sample = earlier.next_wave(design, corpus, seed, share=options.share)
    else:
        sample = design.draw(corpus, seed, id=options.id)
    if options.text:
        sample.to_labelling(
            out / "annotators", corpus, options.text, read_label(options.label, options.codebook), show=options.show,
            annotators=_annotators(options.annotators), overlap=options.overlap, instructions=options.instructions,
            formats=read_formats(options.format),
            overwrite=options.overwrite,
        )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    sample.save(out / "sample.json")
    rows = sample.rows(corpus)
    read.write(rows, out / "drawn.csv", rows["drawn_position" if "position" in corpus else "position"].to_numpy())
    print(f"{sample.labelling.description}; {len(sample.new_positions)} to label now; seed {seed}")
    print(f"frame hash {sample.frame_hash}")
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        print(f"  {path}")
    return 0


def read_design(options: argparse.Namespace) -> Design:
    """The design that the options describe.

    Raises
    ------
    ArgumentError
        If an option is missing, or would have no effect.
    """
    from .. import designs

    kind = options.design
    every = sorted({name for names in _OPTIONS.values() for name in names})
    given = {name: getattr(options, name) for name in every if getattr(options, name) is not None}
    for name in given:
        if name not in _OPTIONS[kind]:
            raise ArgumentError(f"--{name} has no effect with --design {kind}; take it out, or choose another design.")
    for name in _NEEDED[kind]:
        if name not in given:
            raise ArgumentError(f"--design {kind} needs --{name}.")
    if "n" in given:
        given["n"] = _size(given["n"])
    if "by" in given and len(given["by"]) == 1:
        given["by"] = given["by"][0]
    if "probability" in given:
        with contextlib.suppress(ValueError):  # else it is a column
            given["probability"] = float(given["probability"])
    classes: dict[str, Any] = {
        "simple": designs.SimpleRandom, "stratified": designs.Stratified, "clustered": designs.Clustered,
        "unequal": designs.Unequal, "bernoulli": designs.Bernoulli,
    }  # fmt: skip
    made: Design = classes[kind](**given)
    return made


def _check(options: argparse.Namespace) -> None:
    if options.share is not None and not options.after:
        raise ArgumentError("--share is the share of a further wave; it goes with --after.")
    if options.after and options.id:
        raise ArgumentError("--id was settled when the first wave was drawn; take it out.")
    read_label(options.label, options.codebook)
    read_formats(options.format)
    if options.text and not options.label and not options.codebook:
        raise ArgumentError(
            "--text needs --label or --codebook, the gold column(s) to fill in, for example --label hostile=no,yes."
        )
    unused = [name for name in ("label", "codebook", "show", "instructions") if getattr(options, name)]
    unused += ["annotators"] * (options.annotators != "1") + ["overlap"] * (options.overlap != 1.0)
    if not options.text and unused:
        raise ArgumentError(f"--{unused[0]} is about the annotators' files, which need --text; give it too.")


def _size(text: str) -> Any:
    """A number, or stratum -> number."""
    try:
        if "=" not in text:
            return int(text)
        pairs = [item.rpartition("=") for item in text.split(",")]
        return {name.strip(): int(number) for name, _, number in pairs}
    except ValueError:
        raise ArgumentError(f"--n {text!r} must be a whole number, or one per stratum: east=40,west=60.") from None


def _annotators(text: str) -> Any:
    """A number of people, or their names."""
    try:
        return int(text)
    except ValueError:
        return text.split(",")
