"""Labels that answered: drawn rows whose label came back, and gold nobody drew.

Answering is a second phase: of the rows drawn (weight ``w``), row i answers with probability ``rho_i``. The weight of
an answer is ``w_i / rho_i``. With rho from a logistic model whose coefficients solve the calibration equations
``sum_drawn w (r / rho - 1) z = 0`` (inverse probability tilting: Graham, Pinto, Egel 2012), the total
``sum w r e / rho`` varies as

    first-phase covariance of e   +   sum_r w^2 (1 - rho) / rho^2 (e - z'B)(e - z'B)',
    B = [sum_r w (1/rho - 1) z z']^-1 sum_r w (1/rho - 1) z e'

since estimating rho takes out what z explains of e. Gold that nobody drew is the special case in which everything was
drawn (w = 1) and rho is the propensity of being labelled: a model, where a design has a fact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import DesignError
from .calibration import calibrated, nonresponse_odds
from .entries import dense, group_totals
from .labelling import Labelling, pair_codes
from .sequential import SequentialLabelling


@dataclass(frozen=True)
class Response(Labelling):
    """Rows that answered, of those drawn, with estimated probabilities of answering.

    ``first`` is the draw, ``labelled`` the rows that answered, ``probability`` the product of both phases.

    Parameters
    ----------
    response : ndarray, shape (N,)
        Probability of answering, in (0, 1].
    regressors : ndarray, shape (N, k), or None
        z of the response model, zero in rows whose probability was set by hand; None when the
        probabilities come from a cross-fitted learner (their estimation is then of second order, with
        predictions of the label in the estimator: Chernozhukov et al. 2018).
    lost : tuple of two ndarrays of shape (k, k), or None
        ``sum_r w (1/rho - 1) z z'`` and ``sum_r w^2 (1 - rho) / rho^2 z z'`` of answers left out later on.
    note : str
        What must be said where nobody drew the gold.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> from karat.frames import Table
    >>> rows = np.arange(40)
    >>> corpus = Table.read({"row": rows, "long": rows % 2})
    >>> answered = (rows < 20) & (rows % 4 != 1)
    >>> drawn = kt.designs.with_answers(kt.SimpleRandom(n=20), corpus, answered, rows < 20, "long")
    >>> drawn.response[:2].round(3).tolist(), drawn.probability[:2].round(3).tolist()
    ([1.0, 0.5], [0.5, 0.25])
    """

    single: ClassVar[bool] = False
    response: Floats = field(default_factory=lambda: np.ones(0))
    regressors: Floats | None = None
    lost: tuple[Floats, Floats] | None = None
    note: str = ""

    @property
    def caution(self) -> str:
        """What must be said of labels that are not a probability sample."""
        return self.note or ("" if self.first is None else self.first.caution)

    @cached_property
    def first_weight(self) -> Floats:
        """Weight of the rows that answered in the draw itself, shape (n,)."""
        return self._drawn_weight[self.labelled]

    @cached_property
    def _drawn_weight(self) -> Floats:
        assert self.first is not None
        out = np.zeros(len(self.labelled))
        out[self.first.gold] = self.first.weight
        return out

    @cached_property
    def weight(self) -> Floats:
        """Weight of the answers in both phases, shape (n,)."""
        return self.first_weight / self.response[self.labelled]

    @cached_property
    def spread(self) -> Floats:
        """What each answer adds to an estimated labelling variance, per squared error, shape (n,).

        That of the draw, ``spread_1 / rho``, and that of answering, ``w^2 (1 - rho) / rho^2``.
        """
        assert self.first is not None
        rho, w = self.response[self.labelled], self.first_weight
        return self.first.spread[self.labelled[self.first.gold]] / rho + w**2 * (1.0 - rho) / rho**2

    @property
    def spread_everywhere(self) -> Floats:
        """That of the draw, and that of answering, ``(1 - rho) / (pi rho)``, shape (N,)."""
        assert self.first is not None
        return np.asarray(self.first.spread_everywhere + (1.0 / self.response - 1.0) / self.first.probability)

    def cross(self, left: Floats, right: Floats) -> Floats:
        """Estimated covariance, over draws and answers, of the totals ``sum w left`` and ``sum w right``."""
        assert self.first is not None
        left, right = dense(left), dense(right)
        rho, w = self.response[self.labelled], self.first_weight
        drawn = self.labelled[self.first.gold]
        padded = [np.zeros((len(drawn), side.shape[1])) for side in (left, right)]
        for every, side in zip(padded, (left, right)):
            every[drawn] = side / rho[:, None]
        second = (1.0 - rho) / rho**2
        out = self.first.cross(*padded) + left.T @ (right * (second * w)[:, None])
        if self.regressors is None:
            return out
        # What z explains of the second phase is known, so its variance goes.
        z = self.regressors[self.labelled]
        odds = w * (1.0 / rho - 1.0)
        information = z.T @ (z * odds[:, None])
        whole = information if self.lost is None else information + self.lost[0]
        inverse = np.linalg.pinv(whole, hermitian=True)
        slope_left, slope_right = (inverse @ (z.T @ (side * odds[:, None])) for side in (left, right))
        plain = left.T @ (right * (second * w**2)[:, None])
        rest = (left - z @ slope_left).T @ ((right - z @ slope_right) * (second * w**2)[:, None])
        out = out - plain + rest
        return out if self.lost is None else out + slope_left.T @ self.lost[1] @ slope_right

    def independent_cross(self, left: Floats, right: Floats, cluster: Ints | None = None) -> Floats:
        """Labelling part that a plain sandwich holds, see :meth:`Labelling.independent_cross`.

        Rows of a labelling unit share its draw (weight w1) but answer each on its own, with probability rho: a row
        counts ``W (W - 1)`` with ``W = w1 / rho``, two rows of one unit and cluster ``w1 (w1 - 1) / (rho rho')``.
        """
        left, right = dense(left), dense(right)
        own = (left * (self.weight * (self.weight - 1.0))[:, None]).T @ right
        if self.unit is None or cluster is None:
            return np.asarray(own)
        group = pair_codes(self.unit[self.labelled], cluster[self.labelled])
        first = np.unique(group, return_index=True)[1]
        rho, factor = self.response[self.labelled][:, None], self.first_weight * (self.first_weight - 1.0)
        left, right = left / rho, right / rho
        pairs = (group_totals(left, group) * factor[first][:, None]).T @ group_totals(right, group)
        return np.asarray(own + pairs - (left * factor[:, None]).T @ right)

    def keep(self, rows: Bools) -> Labelling:
        """The same on a subset of rows that observed variables define."""
        if rows.all():
            return self
        assert self.first is not None
        kept = Labelling.keep(replace(self, fixed_size=False), rows)
        lost = self.lost
        if self.regressors is not None:
            gone = self.labelled & ~rows
            z, w, rho = self.regressors[gone], self._drawn_weight[gone], self.response[gone]
            weights = (w * (1.0 / rho - 1.0), w**2 * (1.0 - rho) / rho**2)
            more = [z.T @ (z * v[:, None]) for v in weights]
            lost = (more[0], more[1]) if lost is None else (more[0] + lost[0], more[1] + lost[1])
        assert isinstance(kept, Response)
        assert kept.first is not None
        regressors = None if self.regressors is None else self.regressors[rows]
        response, fixed = self.response[rows], self.fixed_size
        probability = kept.first.probability * response
        return replace(
            kept, fixed_size=fixed, response=response, regressors=regressors, lost=lost, probability=probability
        )


def answered(drawn: Labelling, labelled: Bools, regressors: Floats | None, how: str) -> Labelling:
    """The draw as far as its labels came back, in the rows ``labelled`` (N,) of those drawn; ``how`` describes it.

    Answering depends on ``regressors`` (N, k); None takes answers as random within strata. Answers of simple random
    samples (in strata) are simple random samples again, given their number.
    """
    text = f"{drawn.description}; {int(labelled.sum()):,} of the {drawn.n_gold:,} drawn have labels, {how}"
    strata, names = _cells(drawn)
    n_strata = int(strata.max()) + 1
    asked = np.bincount(strata[drawn.labelled], minlength=n_strata)
    came = np.bincount(strata[labelled], minlength=n_strata)
    _check_answers(drawn, labelled)
    if regressors is None:
        for s in np.flatnonzero((came == 0) & (asked > 0)):
            raise DesignError(
                f"none of the {asked[s]} rows drawn in stratum {names(int(s))} has a label, so nothing is known of it; "
                "have some labelled, merge strata, or model the answers with nonresponse=[columns]."
            )
    # The shortcut needs a draw that was itself simple random within strata.
    plain = type(drawn).cross is Labelling.cross and drawn.unit is None and drawn.fixed_size
    if regressors is None and plain and np.allclose(drawn.probability * np.bincount(strata)[strata], asked[strata]):
        share = came / np.maximum(np.bincount(strata), 1)
        return replace(drawn, labelled=labelled, probability=share[strata], description=text, first=drawn)
    if regressors is None:
        regressors = np.eye(n_strata)[:, asked > 0][strata]
    if (drawn.weight <= 0).any():
        raise DesignError(
            "some drawn rows have weights that are not positive (as waves may give), and answers cannot be calibrated "
            "to these; have the missing rows labelled, or fit the first wave alone."
        )
    weight = np.zeros(len(labelled))
    weight[drawn.gold] = drawn.weight
    odds = nonresponse_odds(regressors[drawn.labelled], labelled[drawn.labelled], weight[drawn.labelled])
    response = np.ones(len(labelled))
    response[drawn.labelled] = 1.0 / (1.0 + odds)
    return Response(
        probability=drawn.probability * response, labelled=labelled, fixed_size=drawn.fixed_size,
        stratum=drawn.stratum, unit=drawn.unit, description=text, strata=drawn.strata, recorded=drawn.recorded,
        first=drawn, response=response, regressors=regressors,
    )  # fmt: skip


def _cells(drawn: Labelling) -> tuple[Ints, Callable[[int], str]]:
    """Within what answers are random: the strata, or the strata of the wave that drew the row; and their names.

    Codes have shape (N,); over waves those of rows that were not drawn say nothing.
    """
    if not isinstance(drawn, SequentialLabelling):
        strata = np.zeros(len(drawn.labelled), dtype=np.intp) if drawn.stratum is None else drawn.stratum
        return strata, lambda s: repr(drawn.strata[s] if drawn.strata else str(s))
    cells: Ints = np.zeros(len(drawn.labelled), dtype=np.intp)
    told: list[str] = []
    for k, wave in enumerate(drawn.waves):
        part = wave.labelling
        inside, name = _cells(part)
        cells[np.flatnonzero(wave.rows)[part.labelled]] = inside[part.labelled] + len(told)
        told += [f"{name(s)} of wave {k + 1}" for s in range(int(inside.max()) + 1)]
    return cells, told.__getitem__


def _check_answers(drawn: Labelling, labelled: Bools) -> None:
    """Raise where a whole wave has no answer, which a model of answering cannot make good."""
    if isinstance(drawn, SequentialLabelling):
        for k in range(len(drawn.waves)):
            asked = drawn.wave == k + 1
            if asked.any() and not (asked & labelled).any():
                raise DesignError(
                    f"none of the {int(asked.sum())} rows drawn in wave {k + 1} has a label, so nothing is known from "
                    "it; have some labelled, or fit with the sample as it was before that wave."
                )


def tilted(labelling: Labelling, tilt: Floats) -> Response:
    """The same answers, had rows without an answer other labels than those of like rows that answered.

    The odds of non-response are multiplied by ``exp(tilt)`` and calibrated anew to the variables of the response model,
    so that ``w -> w_1 (1 + (1/rho - 1) exp(tilt - z'd))``: among rows without an answer the labels follow the
    distribution of the answers, tilted (Scharfstein, Rotnitzky, Robins 1999). ``labelling``: with drawn rows that gave
    no label (``first``); ``tilt`` (n,): of the rows that answered.
    """
    base = labelling if isinstance(labelling, Response) else as_response(labelling)
    rho, w = base.response[base.labelled], base.first_weight
    z = np.ones((base.n_gold, 1)) if base.regressors is None else base.regressors[base.labelled]
    with np.errstate(divide="ignore"):
        offset = np.log(1.0 / rho - 1.0) + tilt
    wanted = z.T @ (w * (1.0 / rho - 1.0))
    delta = calibrated(z, w, offset, wanted, np.zeros(z.shape[1]))
    response = base.response.copy()
    response[base.labelled] = 1.0 / (1.0 + np.exp(offset - z @ delta))
    assert base.first is not None
    return replace(base, response=response, probability=base.first.probability * response)


def as_response(labelling: Labelling) -> Response:
    """Answers of simple random samples, written as a second phase with one probability for each stratum."""
    first = labelling.first
    if first is None:
        raise DesignError("every drawn row has its label.")
    strata = np.zeros(len(labelling.labelled), dtype=np.intp) if first.stratum is None else first.stratum
    n = int(strata.max()) + 1
    asked = np.bincount(strata[first.labelled], minlength=n)
    came = np.bincount(strata[labelling.labelled], minlength=n)
    share = np.divide(came, asked, out=np.ones(n), where=asked > 0)
    response = np.where(first.labelled, share[strata], 1.0)
    return Response(
        probability=first.probability * response, labelled=labelling.labelled, fixed_size=first.fixed_size,
        stratum=first.stratum, unit=first.unit, description=labelling.description, strata=labelling.strata,
        recorded=labelling.recorded, first=first, response=response, regressors=np.eye(n)[:, asked > 0][strata],
    )  # fmt: skip
