"""From sums over all sites to shares with their joint covariance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimate.shares import Shares
from ..grouped.cell_fits import TITLES, on_diagonal, stacked
from ..grouped.shares import warn
from ..grouped.shares_result import SharesResult
from ..results import Result
from ..results.comparison import Column, Comparison
from .agreed_cells import Agreed, agree, label_kind
from .report import NO_SURROGATES, Draw, sampling_of
from .shares_centre import pooled_shares

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..regression.group_means import Empty
    from .rounds import Rounds
    from .shares_centre import PooledShares


SHARES = "shares"
"""What settings call the model."""


def combine_shares(rounds: Rounds) -> SharesResult:
    """The shares of all sites.

    Raises
    ------
    Unanswered
        With the next question, where there is one.
    KaratError
        As :func:`karat.shares`.
    """
    settings, labels = rounds.settings, rounds.settings["labels"]
    columns = agree({site: one.facts for site, one in rounds.each[0].items()})
    whole = label_kind(columns["columns"], labels)
    for name in [] if whole else labels:
        columns["columns"][name] = {"binary": True, "whole": columns["columns"][name]["whole"]}
    rounds.columns = {**columns, "whole": whole}
    agreed = Agreed.of(rounds.columns, (settings["by"], settings["over"], settings["period"]))
    empty = agreed.empty(settings["missing"])
    if rounds.told:
        rounds.alike("names")
        rounds.alike("clustered")
    return report(pooled_shares(rounds, agreed, whole), rounds, agreed, empty)


def report(found: PooledShares, rounds: Rounds, agreed: Agreed, empty: Empty | None) -> SharesResult:
    """The shares of all sites.

    Parameters
    ----------
    found : PooledShares
    rounds : Rounds
    agreed : Agreed
    empty : Empty or None
        Cells without gold.
    """
    settings, told = rounds.settings, rounds.told
    first = next(iter(told.values()))
    one, (k, c) = _Covariances(found, settings, told), found.theta.shape
    fits, plain, settled = [], [], []
    for j, name in enumerate(first["names"]):
        fit, own = one.fit(j, name, agreed.names, len(rounds.each))
        fits.append(fit)
        plain.append(own)
        settled.append(np.diag(fit.covariance))
    order = np.arange(k * c).reshape(k, c).T.ravel()
    joint = on_diagonal(one.joint()[np.ix_(order, order)], np.stack(plain, axis=1).ravel())
    whole = on_diagonal(joint, np.stack(settled, axis=1).ravel())
    notes = dict.fromkeys([note for fit in fits for note in fit.notes] + ([str(empty)] if empty else []))
    result = SharesResult(
        label=", ".join(settings["labels"]), classes=tuple(first["classes"]), whole=rounds.columns["whole"],
        by=agreed.axes.by, over=agreed.axes.over, grid=agreed.axes.grid(), cells=tuple(int(i) for i in agreed.kept),
        times=agreed.axes.position, fits=tuple(fits), covariance=whole, plain=joint, size=found.first["sizes"],
        comparison=one.compared(fits, whole) if settings["compare"] else None, notes=tuple(notes),
    )  # fmt: skip
    warn(result, empty)
    return result


class _Covariances:
    """Covariances of one class after the other, and of all together."""

    def __init__(self, found: PooledShares, settings: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]]) -> None:
        self.found, self.settings, self.told = found, settings, told
        self.count = found.theta.shape[1]
        self.draw = Draw(found.first, settings, list(told.values()), self.count)

    def _sums(self, j: int) -> dict[str, Any]:
        """Sums of one class, cut out of those of all."""
        at = slice(j * self.count, (j + 1) * self.count)
        return {**part_of(self.found.answer["fit"], at), "plain": part_of(self._plain(), at)}

    def _plain(self) -> Mapping[str, Any]:
        fit: Mapping[str, Any] = self.found.answer["fit"]
        return fit.get("plain", fit)

    def joint(self) -> Floats:
        """Covariance of all shares, class by class."""
        nothing, alone = np.zeros(self.found.theta.size), self.found.gold_alone[0]
        return self.draw.infer(self.found.answer["fit"], alone, nothing, self.settings["vcov"])[0].total

    def _infer(
        self, sums: Mapping[str, Any], theta: Floats, alone: bool, tuned: Floats, known: bool
    ) -> tuple[Any, ...]:
        """Covariance of a class, its variances before they are settled, degrees of freedom, and what gold can carry."""
        covariance, df = self.draw.infer(sums, alone, tuned, self.settings["vcov"], known)
        first = self.found.first
        total, positive = first["gold sizes"], theta * first["gold sizes"]
        rest = float((positive * (1.0 - 2.0 * theta) + theta**2 * total).sum())
        groups = {**first["groups"], "rest": rest}
        shares = self.draw.shares(sums, groups, alone, tuned, covariance, known)
        settled, df, shares = shares.settle(covariance.total, df, self.settings["df"])
        return covariance, settled, df, shares

    def fit(self, j: int, name: str, cells: list[str], rounds: int) -> tuple[Result, Floats]:
        """The Result of one class, and its variances before they are settled."""
        found, settings, tuning = self.found, self.settings, self.found.tunings[j]
        known = self.draw.labels_known(self.found.answer["fit"])
        covariance, settled, df, shares = self._infer(
            self._sums(j), found.theta[j], found.gold_alone[j], tuning.tuned, known
        )
        each = list(self.told.values())
        notes = [note for one in each for note in one["notes"]]
        title = f"Shares of {name}"
        result = Result(
            model="mean", title=title, formula=title, estimator=settings["estimator"], names=tuple(cells),
            theta=found.theta[j], covariance=settled, labelling_covariance=covariance.labelling, df=df,
            vcov_kind=settings["vcov"], cluster=settings["cluster"], target=settings["target"],
            alpha=settings["alpha"], sampling=sampling_of(found.first, self.told), choice=tuning.choice,
            tuning_weight=np.diag(tuning.coefficient_weights).copy(), lambda_matrix=tuning.mixing,
            r_squared=tuning.r_squared, skill=(), moment_norm=0.0, iterations=1, df_method=settings["df"],
            shares=shares, interval="beta",
            notes=(*dict.fromkeys(notes), f"from sums of {len(each)} sites in {rounds} rounds"),
        )  # fmt: skip
        return result, np.diag(covariance.total).copy()

    def compared(self, fits: list[Result], joint: Floats) -> Comparison:
        """Gold alone beside the shares."""
        columns, settings = [], self.settings
        if settings["estimator"] != "gold":
            columns.append(self._gold())
        names = tuple(f"{one.title.removeprefix('Shares of ')}" for one in fits)
        labels = tuple(f"{name}: {cell}" if cell else name for cell in fits[0].names for name in names)
        theta, df = _by_cell([fit.theta for fit in fits]), _by_cell([fit.df for fit in fits])
        shares = stacked([fit.shares for fit in fits if fit.shares is not None])
        columns.append(Column(TITLES[settings["estimator"]], theta, np.sqrt(np.diag(joint)), df, shares))
        effective, r_squared = _by_cell([f.effective_gold for f in fits]), _by_cell([f.r_squared for f in fits])
        return Comparison(
            labels, tuple(columns), None, effective, r_squared, settings["alpha"], fits[0].n_gold, NO_SURROGATES, {},
            "beta",
        )  # fmt: skip

    def _gold(self) -> Column:
        none, theta = np.zeros(self.count), self.found.alone
        every, shares = [], list[Shares]()
        for j, own in enumerate(theta):
            sums = self.found.answer["alone"][str(j)]
            _, settled, df, known = self._infer(sums, own, True, none, self.draw.labels_known(sums))
            every.append((np.sqrt(np.diag(settled)), df))
            shares.append(known)
        se, df = (_by_cell([one[i] for one in every]) for i in (0, 1))
        return Column("Gold only", _by_cell(list(theta)), se, df, stacked(shares))


def _by_cell(values: list[Floats]) -> Floats:
    return np.stack(values, axis=1).ravel()


def part_of(sums: Mapping[str, Any], at: slice) -> dict[str, Any]:
    """Sums of some coefficients out of those of all: rows and columns of matrices, entries of vectors."""
    out: dict[str, Any] = {}
    for name, value in sums.items():
        if name == "plain":
            continue
        if isinstance(value, Mapping):
            out[name] = part_of(value, at)
        elif np.ndim(value) == 2:
            out[name] = value[at, at]
        else:
            out[name] = value[at] if np.ndim(value) == 1 else value
    return out
