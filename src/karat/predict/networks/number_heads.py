"""Heads for numbers and counts: what the outputs of a network say about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss, logsigmoid, softplus

from ..._core.types import Floats
from ...errors import ArgumentError, DataError
from .heads import Head, Scales

DISTRIBUTIONS = ("squared", "gaussian", "huber", "poisson", "laplace", "bitwise")
_HUBER = 1.345
_MOST_BITS = 24


@dataclass(frozen=True)
class Squared(Head):
    """Numbers by least squares, each output for one column of the target."""

    def scales(self, target: Floats, weight: Floats) -> dict[str, Floats]:
        """Mean and standard deviation of the training rows; a constant target has scale 1."""
        centre = weight @ target / weight.sum()
        spread = np.sqrt(weight @ (target - centre) ** 2 / weight.sum())
        return {"centre": centre, "spread": np.where(spread > 1e-12 * np.maximum(np.abs(centre), 1.0), spread, 1.0)}

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Zero: the mean."""
        return np.zeros(self.n_outputs), np.empty(0)

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """Half the squared error in units of the spread."""
        return 0.5 * ((target - scales["centre"]) / scales["spread"] - out).square().sum(dim=-1)

    def mean(self, out: Tensor, extra: Tensor | None, scales: Scales) -> Tensor:
        """The output in the target's units."""
        return (scales["centre"] + scales["spread"] * out)[..., 0]


@dataclass(frozen=True)
class Huber(Squared):
    """Numbers by Huber's loss: a centre that outliers do not pull, not the expectation (Huber 1964)."""

    def scales(self, target: Floats, weight: Floats) -> dict[str, Floats]:
        """Weighted median and normalised median absolute deviation."""
        centre = _median(target[:, 0], weight)
        spread = 1.4826 * _median(np.abs(target[:, 0] - centre), weight)
        plain = super().scales(target, weight)["spread"]
        return {"centre": np.array([centre]), "spread": np.where(spread > 1e-3 * plain, spread, plain)}

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """Quadratic up to 1.345 spreads, linear beyond."""
        z = (target - scales["centre"]) / scales["spread"]
        return huber_loss(out, z.expand_as(out), reduction="none", delta=_HUBER).sum(dim=-1)


@dataclass(frozen=True)
class Gaussian(Squared):
    """Numbers by the normal likelihood, mean and log standard deviation both predicted."""

    n_outputs: int = 2

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """Negative log likelihood in units of the spread."""
        z = (target[..., 0] - scales["centre"][..., 0]) / scales["spread"][..., 0]
        log_sd = out[..., 1].clamp(-7.0, 7.0)
        return log_sd + 0.5 * ((z - out[..., 0]) * (-log_sd).exp()).square()

    def starts_at(self) -> int:
        """The mean alone."""
        return 1


@dataclass(frozen=True)
class Poisson(Head):
    """Counts by the Poisson likelihood, log link."""

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Log of the mean."""
        values, weight = _long(target, weight)
        return np.log(np.maximum(float(weight @ values / weight.sum()), 1e-3))[None], np.empty(0)

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """``mu - y log mu``; a distribution of y enters by its mean."""
        log_mu = out[..., 0].clamp(-20.0, 20.0)
        return log_mu.exp() - _numbers(target) * log_mu

    def curvature(self, out: Tensor, target: Tensor, scales: Scales) -> Tensor:
        """The mean."""
        return out.clamp(-20.0, 20.0).exp().clamp_min(1e-4)

    def mean(self, out: Tensor, extra: Tensor | None, scales: Scales) -> Tensor:
        """``exp(out)``."""
        return out[..., 0].clamp(-20.0, 20.0).exp()


@dataclass(frozen=True)
class Laplace(Head):
    """Counts by a Laplace distribution rounded to whole numbers and cut at 0 (Maat and Bloem 2026).

    ``P(Y = j) = F(j + 1/2) - F(j - 1/2)``, all mass below 1/2 at 0; location and log scale are predicted.
    """

    n_outputs: int = 2

    def scales(self, target: Floats, weight: Floats) -> dict[str, Floats]:
        """Median and mean absolute deviation of the training rows."""
        values, weight = _long(target, weight)
        centre = _median(values, weight)
        spread = float(weight @ np.abs(values - centre) / weight.sum())
        return {"centre": np.array([centre]), "spread": np.array([max(spread, 0.1)])}

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Location at the median, scale at the mean absolute deviation."""
        return np.zeros(2), np.empty(0)

    def starts_at(self) -> int:
        """The location alone."""
        return 1

    def _parts(self, out: Tensor, scales: Scales) -> tuple[Tensor, Tensor]:
        location = scales["centre"][..., 0] + scales["spread"][..., 0] * out[..., 0]
        return location, scales["spread"][..., 0] * out[..., 1].clamp(-5.0, 7.0).exp()

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """Negative log probability."""
        location, scale = self._parts(out, scales)
        if target.shape[-1] == 1:
            return -_log_laplace_cell(target[..., 0], location, scale)
        support = torch.arange(target.shape[-1], dtype=out.dtype, device=out.device)
        return -(target * _log_laplace_cell(support, location[..., None], scale[..., None])).sum(dim=-1)

    def mean(self, out: Tensor, extra: Tensor | None, scales: Scales) -> Tensor:
        """``sum over j >= 0 of P(Y > j)``, a geometric series on either side of the location."""
        location, scale = self._parts(out, scales)
        first = torch.ceil(location - 0.5).clamp_min(0.0)
        decay = -torch.expm1(-1.0 / scale)
        above = 0.5 * torch.exp(-(first + 0.5 - location) / scale) / decay
        below = 0.5 * torch.exp((first - 0.5 - location) / scale) * -torch.expm1(-first / scale) / decay
        return first - below + above

    def probability(self, out: Tensor, scales: Scales, support: Tensor) -> Tensor:
        """Probability of each whole number, shape (M, B, J)."""
        location, scale = self._parts(out, scales)
        return _log_laplace_cell(support.to(out.dtype), location[..., None], scale[..., None]).exp()


@dataclass(frozen=True)
class Bitwise(Head):
    """Whole numbers by one Bernoulli distribution per bit (Maat and Bloem 2026).

    Numbers run from the smallest of the network's own training rows; ``bits`` says how many bits they need there.
    """

    def scales(self, target: Floats, weight: Floats) -> dict[str, Floats]:
        """The smallest number and the bits in use, from the training rows."""
        values, _ = _long(target, weight)
        low = float(values.min())
        used = max(1, int(values.max() - low).bit_length())
        return {"low": np.array([low]), "used": (np.arange(self.n_outputs) < used).astype(np.float64)}

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Log odds of each bit's smoothed share."""
        values, weight = _long(target, weight)
        bits = (values - scales["low"])[:, None].astype(np.int64) >> np.arange(self.n_outputs) & 1
        share = (weight @ bits + 0.5) / (weight.sum() + 1.0)
        return np.log(share / (1 - share)), np.empty(0)

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """Binary cross-entropies of the bits in use; a distribution of y enters by the expectation of each bit."""
        place = torch.arange(self.n_outputs, device=out.device)
        if target.shape[-1] == 1:
            bits = ((target - scales["low"]).round().clamp_min(0).long() >> place & 1).to(out.dtype)
        else:
            support = torch.arange(target.shape[-1], device=out.device).to(out.dtype)
            each = ((support[:, None] - scales["low"]).round().clamp_min(0).long() >> place & 1).to(out.dtype)
            bits = torch.matmul(target, each)
        return ((softplus(out) - bits * out) * scales["used"]).sum(dim=-1)

    def curvature(self, out: Tensor, target: Tensor, scales: Scales) -> Tensor:
        """``p (1 - p)`` of each bit."""
        p = out.sigmoid()
        return (p * (1 - p)).clamp_min(1e-4)

    def mean(self, out: Tensor, extra: Tensor | None, scales: Scales) -> Tensor:
        """Sum of the places of the bits, by their probabilities."""
        place = 2.0 ** torch.arange(self.n_outputs, dtype=out.dtype, device=out.device)
        return scales["low"][..., 0] + (out.sigmoid() * scales["used"] * place).sum(dim=-1)

    def probability(self, out: Tensor, scales: Scales, support: Tensor) -> Tensor:
        """Probability of each whole number, shape (M, B, J)."""
        place = torch.arange(self.n_outputs, device=out.device)
        offset = support.to(out.dtype) - scales["low"]
        bits = (offset.clamp_min(0).long()[..., None] >> place & 1).to(out.dtype)
        used = scales["used"]
        one, zero = logsigmoid(out) * used, logsigmoid(-out) * used
        log_p = torch.einsum("mbq,mjq->mbj", one - zero, bits.reshape(len(out), -1, self.n_outputs).to(out.dtype))
        fits = (offset >= 0) & (offset < 2.0 ** used.sum(dim=-1))
        return (log_p + zero.sum(dim=-1, keepdim=True)).exp() * fits.reshape(len(out), 1, -1)


def number_head(distribution: str, target: Floats) -> Head:
    """Head for numbers, whose number of bits is read from all training targets, (n, q)."""
    if distribution not in DISTRIBUTIONS:
        raise ArgumentError(
            f"distribution={distribution!r} is not known; choose one of {', '.join(map(repr, DISTRIBUTIONS))}."
        )
    counts = distribution in ("poisson", "laplace", "bitwise")
    if target.shape[1] > 1 and not counts:
        raise ArgumentError(
            f"y has {target.shape[1]} columns, a distribution over whole numbers, which distribution="
            f"{distribution!r} does not take; give one number per row, or use 'poisson', 'laplace' or 'bitwise'."
        )
    if counts and target.shape[1] == 1:
        _check_counts(distribution, target[:, 0])
    if distribution == "bitwise":
        values = np.arange(target.shape[1]) if target.shape[1] > 1 else target[:, 0]
        bits = max(1, int(values.max() - values.min()).bit_length())
        if bits > _MOST_BITS:
            raise DataError(f"y spans {bits} bits, more than {_MOST_BITS}; use distribution='gaussian' or 'poisson'.")
        return Bitwise(n_outputs=bits)
    return {"squared": Squared, "gaussian": Gaussian, "huber": Huber, "poisson": Poisson, "laplace": Laplace}[
        distribution
    ]()


def _check_counts(distribution: str, values: Floats) -> None:
    if distribution != "bitwise" and (values < 0).any():
        raise DataError(
            f"y holds {values.min():g}, which is not a count; distribution={distribution!r} needs numbers of 0 or "
            "more. Use distribution='squared'."
        )
    if distribution != "poisson" and (values != np.round(values)).any():
        example = values[values != np.round(values)][0]
        raise DataError(
            f"y holds {example:g}, which is not whole; distribution={distribution!r} needs whole numbers. Round y, or "
            "use distribution='poisson' or 'squared'."
        )


def _log_laplace_cell(y: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """``log P(Y = y)`` of a Laplace variable rounded to whole numbers, all mass below 1/2 at 0."""
    distance = (y - location).abs()
    half, whole = 0.5 / scale, 1.0 / scale
    # off the cell of the location: 1/2 exp(-(d - 1/2)/b) (1 - exp(-1/b)); on it: 1 - exp(-1/2b) cosh(d/b)
    away = -(distance - 0.5).clamp_min(0.0) / scale + (-torch.expm1(-whole)).log() - np.log(2.0)
    inside = torch.minimum(distance, torch.full_like(distance, 0.5)) / scale
    at = (1.0 - 0.5 * ((inside - half).exp() + (-inside - half).exp())).clamp_min(1e-30).log()
    cell = torch.where(distance > 0.5, away, at)
    edge = (0.5 - location) / scale
    zero = torch.where(edge > 0, (1.0 - 0.5 * (-edge.clamp_min(0.0)).exp()).log(), edge.clamp_max(0.0) - np.log(2.0))
    return torch.where(y <= 0, zero, cell)


def _numbers(target: Tensor) -> Tensor:
    """Targets as numbers; a distribution over 0, 1, ... as its mean."""
    if target.shape[-1] == 1:
        return target[..., 0]
    return target @ torch.arange(target.shape[-1], dtype=target.dtype, device=target.device)


def _long(target: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Targets as numbers with weights; a distribution over 0, 1, ... as one row per number that occurs."""
    if target.shape[1] == 1:
        return target[:, 0], weight
    total = weight @ target
    values = np.flatnonzero(total > 0)
    return values.astype(np.float64), total[values]


def _median(values: Floats, weight: Floats) -> float:
    order = np.argsort(values, kind="stable")
    at = np.searchsorted(weight[order].cumsum(), 0.5 * weight.sum())
    return float(values[order[min(int(at), len(order) - 1)]])
