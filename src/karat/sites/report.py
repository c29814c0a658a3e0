"""From sums over all sites to a Result: covariance, degrees of freedom, counts."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import moments as models
from ..errors import SmallSampleWarning, SolverWarning, tell
from ..estimate.covariance import Covariance, small_sample, with_population
from ..estimate.df import at_least, kurtosis_df, satterthwaite_df
from ..estimate.shares import Shares, plain_kind
from ..regression.comparison_fits import wider_than_gold
from ..regression.unseen import allowed_for, wrong_labels
from ..results import Result
from ..results.comparison import Column, Comparison
from ..results.sampling import Sampling
from ..results.verdicts import small_sample_notes
from .left_out import KINDS as LEFT_OUT

if TYPE_CHECKING:
    from .._core.types import Floats
    from .centre import Pooled

NO_SURROGATES = "Surrogate only is not shown: it was not asked of the sites"
_TITLES = {"dsl": "DSL", "ppi": "PPI", "gold": "Gold only"}


def report(found: Pooled, settings: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]], rounds: int) -> Result:
    """The Result of a fit across sites.

    Parameters
    ----------
    found : Pooled
    settings : mapping
        What all sites fitted.
    facts : mapping
        Site -> what it told besides sums.
    rounds : int
        Rounds of sums.
    """
    each, first = list(facts.values()), found.first
    one = Draw(first, settings, each, len(found.theta))
    own = found.answer["alone"] if found.gold_alone else found.answer["fit"]
    covariance, df = one.infer(own, found.gold_alone, found.tuning.tuned, settings["vcov"])
    shares, allowed = None, tuple[str, ...]()
    if "unseen" in found.answer and not found.gold_alone:
        told, before = found.answer["unseen"], np.diag(covariance.total)
        floor = wrong_labels(told["size"], told["spread"], told["wrong"]) / told["size"] * told["moved"]
        covariance, df = at_least(covariance, df, floor)
        allowed = (allowed_for(int(told["size"])),) if (np.diag(floor) > before).any() else ()
    if settings["groups"]:
        shares = one.shares(own, found.answer["groups"], found.gold_alone, found.tuning.tuned, covariance)
        total, df, shares = shares.settle(covariance.total, df, settings["df"])
        covariance = Covariance(total, covariance.labelling)
    model = models.get(settings["model"], settings["parameters"])
    notes = [note for one_site in each for note in one_site["notes"]]
    result = Result(
        model=model.name, title=each[0]["title"], formula=settings["formula"], estimator=settings["estimator"],
        names=tuple(each[0]["names"]), theta=found.theta, covariance=covariance.total,
        labelling_covariance=covariance.labelling, df=df, vcov_kind=settings["vcov"], cluster=settings["cluster"],
        target=settings["target"], alpha=settings["alpha"], sampling=sampling_of(first, facts),
        choice=found.tuning.choice, tuning_weight=np.diag(found.tuning.coefficient_weights).copy(),
        lambda_matrix=found.tuning.mixing, r_squared=found.tuning.r_squared, skill=(), moment_norm=found.root.norm,
        iterations=found.root.iterations, df_method=settings["df"], shares=shares,
        notes=(*dict.fromkeys(notes), *found.notes, *allowed, f"from sums of {len(facts)} sites in {rounds} rounds"),
    )  # fmt: skip
    if settings["estimator"] != "gold" and settings["compare"]:
        comparison = _comparison(result, found, one, settings)
        wider = wider_than_gold(result, comparison.columns[0], cast(Any, SimpleNamespace(tuning=settings["tuning"])))
        result = result.replace(comparison=comparison, notes=(*wider, *result.notes))
    for note in found.notes:
        tell(note, SolverWarning)
    for note in small_sample_notes(result):
        tell(note, SmallSampleWarning)
    return result.as_means() if settings["model"] == "mean" else result


def sampling_of(first: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> Sampling:
    """Counts of all sites, and the designs of each."""
    each = list(facts.values())
    classes = [int(counts.min()) for counts in first["classes"].values()]
    return Sampling(
        design="; ".join(f"{site}: {one['design']}" for site, one in facts.items()),
        assumed=any(one["assumed"] for one in each),
        n_units=int(first["n_units"]), n_gold=int(first["n_gold"]),
        dropped={name: int(count) for name, count in first["dropped"].items()}, n_dropped=int(first["n_dropped"]),
        smallest_probability=min(one["smallest_probability"] for one in each),
        largest_weight=max(one["largest_weight"] for one in each),
        kish=float(first["weight"] ** 2 / first["weight_squares"]), sum_of_weights=float(first["weight"]),
        clusters=int(first["clusters"]), gold_clusters=int(first["gold_clusters"]),
        rarest_class=min(classes, default=None),
        binary_outcome=all(one["binary"] for one in each),
    )  # fmt: skip


class Draw:
    """Counts of the pooled draw, and covariances by them (methods, section 4).

    Parameters
    ----------
    first : mapping
        Sums of the first round.
    settings : mapping
    facts : list of mapping
        What each site told.
    used : int
        Coefficients of a fit.
    """

    def __init__(
        self, first: Mapping[str, Any], settings: Mapping[str, Any], facts: list[Mapping[str, Any]], used: int
    ) -> None:
        self.first, self.settings, self.used = first, settings, used
        self.by_row = all(one["independent"] for one in facts)
        self.independent = all(one["single"] for one in facts)
        self.binary = all(one["binary"] for one in facts)

    @staticmethod
    def labels_known(sums: Mapping[str, Any]) -> bool:
        """Whether labelling adds nothing."""
        return bool((sums["errors"] <= 1e-20 * sums["moments"]).all())

    def infer(
        self, sums: Mapping[str, Any], alone: bool, tuned: Floats, kind: str, together: bool | None = None
    ) -> tuple[Covariance, Floats]:
        """Covariance and degrees of freedom, as :func:`karat.estimate.infer.infer`.

        ``together`` says whether labelling adds nothing to all fits of which these sums are a part.
        """
        first, p = self.first, len(sums["errors"])
        n_gold, n_rows = int(first["n_gold"]), int(first["n_gold"] if alone else first["n_units"])
        clustered = kind.startswith("CRV")
        known = self.labels_known(sums)
        if clustered:
            meat = sums["clusters"]
            population, second, fourth = meat["population"], meat["second"], meat["fourth"]
        elif (self.by_row and kind not in LEFT_OUT) or (known if together is None else together):
            meat = sums["units"]
            population = meat["product"] - meat["known"]
            second, fourth = np.diag(meat["product"]), meat["fourth"]
        else:
            meat = sums["gold"]
            population, second, fourth = meat["population"], meat["second"], meat["fourth"]
        finite = self.settings["target"] == "finite"
        if finite and not known:
            second, fourth = sums["drawn"]["second"], sums["drawn"]["fourth"]
        concentration = np.divide(fourth, second**2, out=np.zeros(p), where=second > 0)
        groups, gold_groups = int(meat["n"]), int(meat["gold"]) if clustered else n_gold
        units = (n_rows if clustered else groups, n_gold)
        population, design = small_sample(
            kind, population, sums["labelling"], (float(self.used), float(self.used)), units, (groups, gold_groups)
        )
        total = design if finite else with_population(population, design, self.independent)
        covariance = Covariance(total, design)
        return covariance, self._df(
            covariance, concentration, tuned, groups, gold_groups, clustered and not (finite and not known)
        )

    def _df(
        self, covariance: Covariance, concentration: Floats, tuned: Floats, groups: int, gold_groups: int,
        clustered: bool,
    ) -> Floats:  # fmt: skip
        method, p = self.settings["df"], len(concentration)
        if method == "normal":
            return np.full(p, np.inf)
        if not isinstance(method, str):
            return np.full(p, float(method))
        by_kurtosis = kurtosis_df(np.ones(p), concentration)
        if method == "kurtosis":
            return by_kurtosis
        gold_size, used = float(self.first["n_chance"]), float(self.used)
        if clustered:
            gold_size, used = min(gold_size, float(gold_groups)), 1.0
        by_parts = satterthwaite_df(
            np.diag(covariance.total), np.diag(covariance.labelling),
            gold_size - used - tuned - max(int(self.first["n_strata"]) - 1, 0), groups - used,
        )  # fmt: skip
        return by_parts if method == "satterthwaite" else np.minimum(by_parts, by_kurtosis)

    def shares(
        self, sums: Mapping[str, Any], found: Mapping[str, Any], alone: bool, tuned: Floats, covariance: Covariance,
        together: bool | None = None,
    ) -> Shares:  # fmt: skip
        """What the gold of each group can carry, as :func:`karat.estimate.shares.shares_of`."""
        kind, p = self.settings["vcov"], self.used
        n_gold = float(self.first["n_gold"])
        units = np.max(list(found["varied"].values()), axis=0) / found["total"] ** 2
        labelling_only = np.max(list(found["spread"].values()), axis=0) / found["total"] ** 2
        plain, _ = self.infer(sums.get("plain", sums), alone, tuned, plain_kind(kind), together)
        variance = np.diag(plain.total) - np.diag(plain.labelling) / n_gold
        reported = np.diag(covariance.total)
        gold_df = 1.0 / units - 1.0 - tuned - np.maximum(found["strata"] - 1.0, 0.0)
        df = satterthwaite_df(reported, np.diag(covariance.labelling), gold_df, float(self.first["n_units"] - p))
        return Shares(
            count=found["count"], kish=found["total"] ** 2 / found["squares"],
            unit_variance=labelling_only if self.settings["target"] == "finite" else units, df=df,
            ratio=np.divide(np.maximum(variance, 0.0), reported, out=np.ones(p), where=reported > 0),
            spread=float(found["rest"] / found["total"].sum() * n_gold / max(n_gold - p, 1)), binary=self.binary,
        )  # fmt: skip


def _comparison(result: Result, found: Pooled, one: Draw, settings: Mapping[str, Any]) -> Comparison:
    """Gold alone beside the fit."""
    zero = np.zeros(len(found.theta))
    covariance, df = one.infer(found.answer["alone"], True, zero, settings["vcov"])
    total, shares = covariance.total, None
    if settings["groups"]:
        shares = one.shares(found.answer["alone"], found.answer["groups"], True, zero, covariance)
        total, df, shares = shares.settle(total, df, settings["df"])
    gold = Column("Gold only", found.alone, np.sqrt(np.diag(total)), df, shares)
    own = Column(_TITLES[result.estimator], result.theta, np.sqrt(np.diag(result.covariance)), result.df, result.shares)
    return Comparison(
        result.names, (gold, own), None, result.effective_gold, result.r_squared, result.alpha, result.n_gold,
        NO_SURROGATES, {},
    )  # fmt: skip
