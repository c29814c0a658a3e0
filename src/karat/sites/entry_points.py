"""``site_sums`` at each site, ``combine_sums`` at the centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError
from ..regression.options import Arguments, RegressOptions
from .answers import answer, facts
from .centre import pooled
from .files import Ask, SiteSums, plain
from .levels import agreed
from .opened import held, open_site, refuse
from .report import report
from .rounds import Rounds, Unanswered, named, settings_of, with_clusters
from .shares_report import SHARES, combine_shares

if TYPE_CHECKING:
    from .._core.types import ModelName
    from ..grouped.shares_result import SharesResult
    from ..results import Result

_NO_ROWS = "only sums leave a site, so that no influence of single rows is kept"


@checked_arguments(
    RegressOptions,
    refused={
        "scores": _NO_ROWS,
        "combine": "predictions are averaged over splits",
        "shown": "leave rows out of data and design",
    },
)  # fmt: skip
@single_threaded
def site_sums(
    formula: str, data: object, *, site: str, surrogates: Mapping[str, Any], model: ModelName = "ols",
    ask: Ask | str | Path | None = None, least: int = 5, **options: Unpack[RegressOptions],
) -> SiteSums:  # fmt: skip
    """Sums over the rows of one site, of which :func:`combine_sums` makes a regression on the rows of all sites.

    Each site draws a gold sample from its own documents and runs this with the same formula and options; a question
    (``ask``) comes back from the centre until it has its result. Rows do not leave the site, but sums tell of them:
    cross products of indicators count the rows that have both, and every further question adds numbers. Where a level,
    or two of them together, would be told of fewer than ``least`` rows, the call is refused. This is not differential
    privacy: whoever may choose the formula can learn about small groups in many calls. Look at what is sent
    (``SiteSums.save`` writes JSON), and answer questions of people you trust (methods, section 4.10).

    Parameters
    ----------
    formula : str
        As in :func:`regress`, without functions that look at a whole column.
    data : data frame
        Rows of this site.
    site : str
        Its name, the same in all rounds.
    surrogates : mapping
        Gold column -> its surrogate(s), by column names.
    model : {"ols", "mean", "logit", "probit", "poisson", "gamma", "fractional", "multinomial"}
        ``"mean"`` takes ``"outcome ~ 1"`` or ``"outcome ~ 0 + C(group)"``.
    ask : Ask, str or Path, optional
        The question, or a file of it; none in the first round.
    least : int
        Rows that a cell must have; 1 tells of all.
    **options
        How to fit.

    Returns
    -------
    SiteSums
        With ``vcov`` HC0 to HC3 (the default), CRV0 or CRV1 (the default with clusters). Clusters must not reach over
        sites; a column that is constant at each site makes the sites the clusters. With a learner each site cross-fits
        its own, from its gold.

    Raises
    ------
    KaratError
        As :func:`regress`; for what sums cannot tell; for cells with fewer rows than ``least``.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023); Saerndal, Swensson, Wretman (1992) for strata.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1600, seed=1)
    >>> parts = {"Ghent": corpus[:900], "Turin": corpus[900:]}
    >>> gold = {name: kt.datasets.mask_gold(part, kt.SimpleRandom(n=200).draw(part, seed=1), "hostile")
    ...         for name, part in parts.items()}
    >>> def sums(name, ask=None):
    ...     return kt.site_sums("outcome ~ hostile + length", gold[name], site=name, ask=ask,
    ...                         surrogates={"hostile": "hostile_llm"}, learner=None)
    >>> received = [sums(name) for name in gold]
    >>> answer = kt.combine_sums(received)
    >>> while isinstance(answer, kt.Ask):
    ...     received += [sums(name, answer) for name in gold]
    ...     answer = kt.combine_sums(received)
    >>> answer.n_units, answer.n_gold, answer.notes[-1]
    (1600, 400, 'from sums of 2 sites in 6 rounds')
    """
    least = named(site, least)
    arguments = Arguments.of(model, formula, surrogates, with_clusters(options))
    refuse(arguments)
    settings = settings_of(arguments)
    if ask is None:
        columns = held(arguments, data, least)
        return SiteSums(site, 0, "", settings, {"columns": plain(columns)}, {})
    question = Ask.of(ask, settings)
    opened = open_site(arguments, data, question.columns, least)
    told = {**facts(opened), "assumed": arguments.design is None}
    return SiteSums(
        site, question.round, question.digest, settings, plain(told), plain(answer(opened, question.question))
    )


@checked_arguments()
def combine_sums(sums: Sequence[SiteSums | str | Path]) -> Ask | Result | SharesResult:
    """Put the sums of sites together: the next question, or the Result.

    Give it everything that came so far from :func:`site_sums` or :func:`site_shares`, of all rounds and in any order.
    Nothing else is kept at the centre, so that the same files always give the same answer.

    Parameters
    ----------
    sums : sequence of SiteSums, str or Path
        From :func:`site_sums` or :func:`site_shares`, or files of it.

    Returns
    -------
    Ask, Result or SharesResult
        The Result is that of the pooled rows with the sites as strata of the draw: to about ten digits that of
        ``kt.regress`` (or ``kt.shares``) on the rows in one place with ``design=kt.Stratified("site")``, where each
        site drew at random, and with ``learner=None``. Least squares and shares take 6 rounds: 5 with HC0, HC1 or
        clusters, two less with ``tuning=None``, for least squares two more where weight 1 is far from gold alone; other
        models one more for each step of the solver, about 15. It holds neither influences nor what predictions of new
        rows need.

    Raises
    ------
    KaratError
        If a site is missing in a round or sent twice, if sites fit different things, or as :func:`regress`.

    References
    ----------
    Saerndal, Swensson, Wretman (1992), section 3.7, for strata.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(800, seed=1)
    >>> corpus = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> first = kt.site_sums("outcome ~ hostile", corpus, site="Ghent", surrogates={"hostile": "hostile_llm"})
    >>> kt.combine_sums([first])
    <karat Ask: round 1, start>
    """
    if isinstance(sums, (str, Path, SiteSums)) or not len(sums):
        raise ArgumentError("sums must be a list of SiteSums, or of files of them, of all sites and rounds so far.")
    rounds = Rounds.of([one if isinstance(one, SiteSums) else SiteSums.read(one) for one in sums])
    try:
        return combine_shares(rounds) if rounds.settings["model"] == SHARES else _regression(rounds)
    except Unanswered as stopped:
        return stopped.ask


def _regression(rounds: Rounds) -> Result:
    """The Result of a regression, or the question that nobody has answered."""
    settings, names = dict(rounds.settings), ()
    rounds.columns = agreed(rounds.facts(0, "columns"))
    told = rounds.told
    if told:
        names = rounds.alike("columns")
        rounds.alike("names")
        settings["groups"] = settings["model"] == "mean" and all(one["groups"] for one in told.values())
        settings["clustered"] = rounds.alike("clustered")
    return report(pooled(settings, names, rounds.ask), settings, told, len(rounds.each))
