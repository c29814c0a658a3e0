"""``karat fit``: a regression on a table with gold and surrogate labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from .._core.types import ModelName
from ..errors import ArgumentError, number
from .labels import handed_out
from .plan import read_list, read_pilot_design
from .questions import add_people, read_people
from .tables import ENDINGS, add_reading, open_corpus

if TYPE_CHECKING:
    import pandas as pd

    from ..results import Result

WRITTEN = (
    ".txt (the summary), .json (the whole result), .html (a report), .tex, .md (the coefficients), .csv, .tsv, .xlsx, "
    ".parquet"
)
MODELS = tuple(name for name in get_args(ModelName) if name != "iv")

EXAMPLE = """examples:
  karat fit labelled.csv "hostile ~ length + party" --surrogate hostile=llm --sample gold/sample.json

fits the table that `karat labels` wrote. In one step from what annotators returned, which leaves the table alone:

  karat fit corpus.csv "hostile ~ length" --surrogate hostile=llm --sample gold/sample.json --answers gold/annotators \\
      --model logit --compare --out fit.csv --out fit.json

The table may also be named by --data, and one gold column by --gold:

  karat fit "hostile ~ length" --data labelled.csv --gold hostile --surrogate llm --simple"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fit", help="fit a regression on gold and surrogate labels", epilog=EXAMPLE,
        description="Regressions on surrogate labels, corrected with gold; prints the summary.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("what", nargs="+", metavar="TABLE FORMULA", help="the table with gold, and the regression, such as 'y ~ x'")
    add("--data", metavar="TABLE", help=f"the table, if it is not named in front: {ENDINGS}")
    add_reading(parser)
    add("--surrogate", action="append", required=True, metavar="[GOLD=]COLUMN[,COLUMN]",
        help="a gold column and its surrogate(s); may be repeated")  # fmt: skip
    add("--gold", metavar="COLUMN", help="the gold column, for a surrogate that does not name one")
    add("--model", choices=MODELS, default="ols", help="which regression; mean: FORMULA is a column (default: ols)")
    add("--by", metavar="COLUMN[,COLUMN]", help="groups (mean)")
    add("--quantile", type=float, metavar="Q", help="which quantile or expectile (default: 0.5)")
    how = parser.add_argument_group("how gold was drawn (one of these)")
    how.add_argument("--sample", metavar="FILE", help="sample.json that karat draw wrote")
    how.add_argument("--strata", metavar="COLUMN[,COLUMN]", help="a fixed number from each of these strata")
    how.add_argument("--probability", metavar="COLUMN", help="independently, with these probabilities")
    how.add_argument("--simple", action="store_true", help="a simple random sample of all rows")
    returned = parser.add_argument_group("gold from what annotators returned (with --sample)")
    returned.add_argument("--answers", nargs="+", metavar="FILE", help="files or folders, as for karat labels")
    returned.add_argument("--join", default="expert_mean", help="several labels into one (see karat labels)")
    add_people(returned)
    add("--features", metavar="COLUMN[,COLUMN]", help="further columns for the learner")
    add("--cluster", metavar="COLUMN[,COLUMN]", help="analysis cluster(s)")
    add("--weights", metavar="COLUMN", help="analysis weights")
    add("--vcov", choices=("HC0", "HC1", "HC2", "HC3"), help="covariance without clusters (default: HC3)")
    add("--finite", action="store_true", help="estimate for this corpus alone, not for the population behind it")
    add("--nonresponse", choices=("raise", "ignorable"), default="raise", help="drawn rows without gold")
    add("--learner", default="auto", help="how surrogates become predictions; none: as they are (default: auto)")
    add("--estimator", choices=("dsl", "ppi", "gold", "surrogate"), default="dsl", help="which estimator")
    add("--alpha", type=float, default=0.05, help="one minus the confidence level (default: 0.05)")
    add("--seed", type=int, help="seed (default: one that follows from the data)")
    add("--compare", action="store_true", help="also print gold alone and surrogates alone")
    add("--out", action="append", default=[], metavar="FILE", help=f"also write to a file; may be repeated: {WRITTEN}")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fit, print, write."""
    for path in options.out:
        _ending(path)
    fit = make(options)
    print(fit.summary())
    if options.compare:
        print(f"\n{fit.compare()}")
    for path in options.out:
        write(fit, path)
        print(f"  {path}")
    return 0


def make(options: argparse.Namespace) -> Result:
    """The fit that the options ask for."""
    from ..designs import read_sample
    from ..regression.entry_points import mean, regress

    formula = _name_table(options)
    surrogates = read_surrogates(options)
    given = [name for name in ("sample", "strata", "probability", "simple") if getattr(options, name)]
    if len(given) != 1:
        raise ArgumentError(
            "say how gold was drawn, in one way: --sample (of karat draw), --strata, --probability or --simple"
            + (f"; given are {' and '.join('--' + name for name in given)}." if given else ".")
        )
    sample = read_sample(options.sample) if options.sample else None
    table = open_corpus(options, "data", sample).table
    if options.answers:
        if sample is None:
            raise ArgumentError("--answers is read with the sample that was handed out; give --sample too.")
        table = _with_answers(options, sample, table)
    settings: dict[str, Any] = {
        "surrogates": surrogates, "design": sample if sample is not None else read_pilot_design(options),
        "weights": options.weights, "target": "finite" if options.finite else "superpopulation", "vcov": options.vcov,
        "nonresponse": options.nonresponse, "learner": None if options.learner == "none" else options.learner,
        "estimator": options.estimator, "alpha": options.alpha, "seed": options.seed,
        "features": read_list(options.features) if options.features else None,
    }  # fmt: skip
    if options.cluster:
        clusters = read_list(options.cluster)
        settings["cluster"] = clusters[0] if len(clusters) == 1 else clusters
    if options.by and options.model != "mean":
        raise ArgumentError(f"--by names groups of a mean; with --model {options.model} put them into the formula.")
    if options.quantile is not None and options.model not in ("quantile", "expectile"):
        raise ArgumentError(f"--quantile has no effect with --model {options.model}; take it out.")
    if options.model == "mean":
        return mean(formula, table, by=read_list(options.by) if options.by else None, **settings)
    if options.model in ("quantile", "expectile"):
        q = 0.5 if options.quantile is None else number("--quantile", options.quantile, above=0, below=1)
        settings["parameters"] = {"q": q}
    return regress(formula, table, model=options.model, **settings)


def read_surrogates(options: argparse.Namespace) -> dict[str, list[str]]:
    """Gold column -> its surrogates."""
    out: dict[str, list[str]] = {}
    for text in options.surrogate:
        gold, equals, columns = text.rpartition("=")
        gold = gold.strip() or (options.gold or "" if not equals else "")
        if not gold or not read_list(columns):
            raise ArgumentError(
                f"--surrogate {text!r} does not say whose surrogate it is; write GOLD=COLUMN, or name the gold column "
                "with --gold."
            )
        if gold in out:
            raise ArgumentError(f"--surrogate names {gold!r} twice; give its columns with commas between them.")
        out[gold] = read_list(columns)
    if options.gold and options.gold not in out:
        raise ArgumentError(
            f"--gold {options.gold!r} has no surrogate; name one with --surrogate {options.gold}=COLUMN."
        )
    return out


def write(fit: Result, path: str | Path) -> None:
    """Write a fit to a file, as its ending says."""
    from ..frames.files import write_file

    kind, path = _ending(path), Path(path)
    if kind not in _TEXTS and kind != ".html":
        return write_file(fit.tidy().reset_index(), path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".html":
            fit.report(path)
        else:
            path.write_text(_TEXTS[kind](fit), encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"--out {str(path)!r} cannot be written: {error.strerror or error}.") from None


_TEXTS: dict[str, Any] = {
    ".txt": lambda fit: f"{fit.summary()}\n",
    ".json": lambda fit: f"{fit.to_json()}\n",
    ".tex": lambda fit: f"{fit.to_latex()}\n",
    ".md": lambda fit: f"{fit.to_markdown()}\n",
}


def _ending(path: str | Path) -> str:
    ending = Path(path).suffix.lower()
    if ending not in (*_TEXTS, ".html", ".csv", ".tsv", ".xlsx", ".parquet"):
        raise ArgumentError(f"--out {str(path)!r} has no ending that is known; use one of {WRITTEN}.")
    return ending


def _name_table(options: argparse.Namespace) -> str:
    """The formula; the table goes to ``options.data``."""
    words = list(options.what)
    tables = [
        word for word in words if "~" not in word and Path(word).name.lower().endswith(tuple(ENDINGS.split(", ")))
    ]
    if options.data is None and len(words) == 2 and tables:
        options.data = tables[0]
        words.remove(tables[0])
    if options.data is None:
        raise ArgumentError(f"the table is not named; give it in front of the formula, or with --data ({ENDINGS}).")
    if len(words) != 1:
        raise ArgumentError(f"{' '.join(words)!r} is not one formula; put it into quotation marks: 'y ~ x + z'.")
    return str(words[0])


def _with_answers(options: argparse.Namespace, sample: Any, table: pd.DataFrame) -> pd.DataFrame:
    labels = handed_out(options.answers, options.sample, sample)
    filled: pd.DataFrame = sample.read_labels(
        options.answers, table, labels=labels, join=options.join, missing="ignore", **read_people(options)
    )
    return filled
