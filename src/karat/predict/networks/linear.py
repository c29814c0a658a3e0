"""Where networks start: a penalised linear model in the skip connection, for all networks at once.

Newton steps with the penalty ``lambda_j`` on each feature, the curvature of each output on its own; where there are
more features than rows the problem is turned into the span of the rows first. Steps that do not lower a network's
objective are halved for that network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .heads import Head

_STEPS = 40
_ENOUGH = 1e-7


def linear_start(
    head: Head, x: Tensor, target: Tensor, weight: Tensor, begin: Tensor, extra: Tensor | None, penalty: Tensor,
    scales: dict[str, Any],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Penalised linear fits of M networks to features (M, n, p), from the outputs ``begin`` of the constant prediction.

    The ``extra`` parameters are held where they are; padding has weight 0.
    """
    n, p = x.shape[1:]
    if p > n:
        # slopes lie in the span of the rows: x / sqrt(penalty) = r' q', and a unit penalty on q'slopes is the same
        root = penalty.expand(len(x), p).sqrt()
        basis, factor = torch.linalg.qr((x / root[:, None]).transpose(1, 2))
        ones = torch.ones(n, dtype=x.dtype, device=x.device)
        inner, intercept = linear_start(head, factor.transpose(1, 2), target, weight, begin, extra, ones, scales)
        return torch.bmm(basis, inner) / root[..., None], intercept
    fitted = head.starts_at()
    n_networks = len(x)
    x = torch.cat([x, torch.ones((n_networks, n, 1), dtype=x.dtype, device=x.device)], dim=2)
    ridge = torch.cat([penalty.expand(n_networks, p), torch.full_like(x[:, 0, :1], 1e-6)], dim=1)
    theta = torch.zeros((n_networks, p + 1, head.n_outputs), dtype=x.dtype, device=x.device)
    theta[:, p] = begin
    size = torch.ones(n_networks, dtype=x.dtype, device=x.device)
    value, slope, curve = _objective(head, x, target, weight, theta, extra, ridge, scales)
    going = torch.ones(n_networks, dtype=torch.bool, device=x.device)
    for _ in range(_STEPS):
        move = torch.zeros_like(theta)
        for k in range(fitted):
            move[..., k] = _solve(x, weight * curve[..., k], ridge, slope[..., k])
        trial = theta - size[:, None, None] * move
        new, new_slope, new_curve = _objective(head, x, target, weight, trial, extra, ridge, scales)
        # a network that has arrived stays, however long others take
        good = going & (new <= value + 1e-12 * value.abs())
        arrived = good & (value - new <= _ENOUGH * (value.abs() + 1))
        size = torch.where(good, (2 * size).clamp_max(1.0), torch.where(going, size / 4, size))
        theta = torch.where(good[:, None, None], trial, theta)
        slope = torch.where(good[:, None, None], new_slope, slope)
        curve = torch.where(good[:, None, None], new_curve, curve)
        value = torch.where(good, new, value)
        going = going & ~arrived & (size > 1e-6)
        if not bool(going.any()):
            break
    return theta[:, :p], theta[:, p:]


def _objective(
    head: Head, x: Any, target: Any, weight: Any, theta: Any, extra: Any, ridge: Any, scales: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Objective of each network, its gradient in theta, the curvature of each row's loss."""
    out = torch.bmm(x, theta).requires_grad_()
    with torch.enable_grad():
        loss = (head.loss(out, extra, target, scales) * weight).sum(dim=1)
        (by_out,) = torch.autograd.grad(loss.sum(), out)
    out = out.detach()
    value = loss.detach() + 0.5 * (ridge[..., None] * theta.square()).sum(dim=(1, 2))
    slope = torch.bmm(x.transpose(1, 2), by_out) + ridge[..., None] * theta
    return value, slope, head.curvature(out, target, scales)


def _solve(x: Tensor, curve: Tensor, ridge: Tensor, right: Tensor) -> Tensor:
    """``(diag(ridge) + X' diag(curve) X)^-1 right`` for each network."""
    root = curve.clamp_min(0.0).sqrt()[..., None] * x
    gram = torch.bmm(root.transpose(1, 2), root) + torch.diag_embed(ridge)
    return torch.cholesky_solve(right[..., None], torch.linalg.cholesky(gram))[..., 0]
