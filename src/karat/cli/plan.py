"""``karat plan``: how many gold labels, from a table with some gold or none."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from .._core.types import ModelName
from ..errors import ArgumentError
from .tables import ENDINGS, add_reading, read_corpus

if TYPE_CHECKING:
    from ..planning import Plan

EXAMPLE = """examples:
  karat plan corpus.csv "tone ~ war + words" --surrogate tone=tone_vader,tone_afinn --cluster editorial \\
      --goal war:half_width=0.2

plans from the gold that the column tone holds so far (a simple random sample, unless --strata or --probability say
otherwise). Without gold, say what the surrogate is worth:

  karat plan corpus.csv "hostile ~ length" --model logit --surrogate hostile=llm --accuracy 0.75,0.9 --n 200,400,800"""


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan", help="how many gold labels a regression needs", epilog=EXAMPLE,
        description="Plan the gold sample: standard errors by number of gold labels, and labels for a goal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("corpus", help=f"table of all documents: {ENDINGS}")
    add_reading(parser)
    add("formula", help="the regression, such as 'tone ~ war + words'")
    add("--surrogate", action="append", required=True, metavar="GOLD=COLUMN[,COLUMN]",
        help="a gold column and its surrogate(s); may be repeated")  # fmt: skip
    models = tuple(name for name in get_args(ModelName) if name != "mean")
    add("--model", choices=models, default="ols", help="which regression (default: ols)")
    add("--goal", action="append", default=[], metavar="TERM:MEASURE=VALUE",
        help="measure is se, half_width or mde; may be repeated")  # fmt: skip
    add("--n", metavar="N[,N]", help="numbers of gold labels to show")
    add("--contrast", action="append", default=[], metavar="TEXT", help="such as 'war - economy'; may be repeated")
    add("--cluster", metavar="COLUMN", help="analysis cluster")
    add("--weights", metavar="COLUMN", help="analysis weights")
    add("--strata", metavar="COLUMN[,COLUMN]", help="the gold so far was drawn from these strata")
    add("--probability", metavar="COLUMN", help="the gold so far was drawn with these probabilities")
    add("--design", choices=("as so far", "simple", "stratified", "clustered"), default="as so far",
        help="how gold will be drawn (default: as so far)")  # fmt: skip
    add("--by", metavar="COLUMN[,COLUMN]", help="strata or clusters of the gold to be drawn")
    add("--allocation", choices=("proportional", "equal", "neyman"), help="how strata share the sample")
    add("--accuracy", metavar="SHARE[,SHARE]", help="without gold: how often the surrogate is right, or a range")
    add("--r-squared", metavar="SHARE[,SHARE]", help="without gold, for numbers: R2 of gold and surrogate, or a range")
    add("--finite", action="store_true", help="plan for this corpus alone, not for the population behind it")
    add("--population", type=int, metavar="N", help="documents there will be, if not those of the table")
    add("--power", type=float, default=0.8, help="of the detectable effect (default: 0.8)")
    add("--band-alpha", type=float, default=0.1,
        help="one minus the level of the intervals around planned figures (default: 0.1)")  # fmt: skip
    add("--seed", type=int, default=0, help="seed (default: 0)")
    add("--table", metavar="FILE.csv", help="also write all figures to a file")
    add("--plot", metavar="FILE.png", help="also write the budget curve")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Plan, and print the summary."""
    made = make(options)
    print(made.summary())
    if options.table:
        made.tidy().to_csv(options.table, index=False)
    if options.plot:
        made.plot().figure.savefig(options.plot, dpi=150)
    return 0


def make(options: argparse.Namespace) -> Plan:
    """The plan that the options ask for."""
    from .. import planning
    from ..regression.entry_points import regress

    corpus = read_corpus(options)
    surrogates = dict(_pair(text) for text in options.surrogate)
    lists: dict[str, Any] = {gold: read_list(columns) for gold, columns in surrogates.items()}
    fitting: dict[str, Any] = {
        "cluster": options.cluster, "weights": options.weights, "seed": options.seed,
        "target": "finite" if options.finite else "superpopulation",
    }  # fmt: skip
    planned: dict[str, Any] = {
        "goal": read_goals(options.goal), "contrasts": options.contrast or None, "design": _design(options),
        "allocation": options.allocation, "population": options.population, "power": options.power,
        "band_alpha": options.band_alpha, "seed": options.seed,
        "n": None if options.n is None else [_whole(part, "--n") for part in read_list(options.n)],
    }  # fmt: skip
    assumed = {
        "accuracy": _range(options.accuracy, "--accuracy"),
        "r_squared": _range(options.r_squared, "--r-squared"),
    }
    if any(value is not None for value in assumed.values()):
        if options.strata or options.probability:
            raise ArgumentError("--strata and --probability describe gold that is there; take --accuracy out, or them.")
        del fitting["seed"]
        if options.finite:
            raise ArgumentError("--finite needs gold so far; take it out.")
        del fitting["target"]
        return planning.plan(
            options.formula, corpus, model=options.model, surrogates=lists, **assumed, **planned, **fitting
        )
    fit = regress(
        options.formula, corpus, model=options.model, surrogates=lists, design=read_pilot_design(options), **fitting
    )
    return planning.plan(fit, corpus, **planned)


def read_goals(texts: Sequence[str]) -> dict[str, dict[str, float]] | None:
    """Goals from texts such as ``war:half_width=0.2``.

    Raises
    ------
    ArgumentError
        If a text cannot be read.

    Examples
    --------
    >>> read_goals(["war:half_width=0.2"])
    {'war': {'half_width': 0.2}}
    """
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        term, colon, rest = text.rpartition(":")
        measure, equal, value = rest.partition("=")
        try:
            number = float(value)
        except ValueError:
            colon = ""
        if not colon or not equal:
            raise ArgumentError(f"--goal {text!r} cannot be read; write for example --goal war:half_width=0.2.")
        found.setdefault(term, {})[measure] = number
    return found or None


def _design(options: argparse.Namespace) -> Any:
    """How gold will be drawn; None for the way it was."""
    from ..designs import Clustered, SimpleRandom, Stratified

    if options.design in ("stratified", "clustered") and not options.by:
        raise ArgumentError(f"--design {options.design} needs --by, the column(s).")
    if options.design == "simple":
        return SimpleRandom()
    if options.design == "stratified":
        return Stratified(_one_or_list(options.by))
    if options.design == "clustered":
        return Clustered(options.by)
    if options.by:
        raise ArgumentError("--by names strata or clusters; say which with --design.")
    return None


def read_pilot_design(options: argparse.Namespace) -> Any:
    """How gold was drawn so far."""
    from ..designs import Bernoulli, SimpleRandom, Stratified

    if options.strata and options.probability:
        raise ArgumentError("give --strata or --probability, not both.")
    if options.strata:
        return Stratified(_one_or_list(options.strata))
    return Bernoulli(options.probability) if options.probability else SimpleRandom()


def _pair(text: str) -> tuple[str, str]:
    left, found, right = text.partition("=")
    if not found or not left or not right:
        raise ArgumentError(f"--surrogate {text!r} cannot be read; write NAME=VALUE.")
    return left.strip(), right


def read_list(text: str) -> list[str]:
    """Parts between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _one_or_list(text: str) -> str | list[str]:
    parts = read_list(text)
    return parts[0] if len(parts) == 1 else parts


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentError(f"{option} {text!r} must be a whole number.") from None


def _range(text: str | None, option: str) -> Any:
    """A number, or a pair."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in read_list(text)]
    except ValueError:
        raise ArgumentError(f"{option} {text!r} must be a number between 0 and 1, or two with a comma.") from None
    return numbers[0] if len(numbers) == 1 else numbers
