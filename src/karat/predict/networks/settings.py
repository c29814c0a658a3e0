"""How networks are trained, checked once and frozen; the device and precision they are trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...errors import ArgumentError, number, one_of, whole

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float64")
_BOUNDS = {
    "dropout": (0.0, 0.95), "validation_fraction": (0.05, 0.5), "weight_decay": (0.0, 100.0),
    "learning_rate": (1e-8, 10.0), "penalty": (1e-6, 1e12),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Training of one batch of networks; see :class:`TorchClassifier` for what the fields mean.

    By default the ridge penalty of the linear start is ``max(1, p / 4)``, which gives the linear predictor a prior
    standard deviation of about 2 however many features there are.
    """

    hidden: tuple[int, ...] = (32,)
    dropout: float = 0.0
    penalty: float | None = None
    weight_decay: float = 0.05
    learning_rate: float = 0.005
    max_epochs: int = 60
    batch_size: int = 64
    early_stopping: bool = True
    validation_fraction: float = 0.25
    patience: int = 8
    refit: bool = True
    calibrate: bool = True
    device: str = "auto"
    precision: str = "auto"
    progress: bool = False

    def __post_init__(self) -> None:
        one_of("device", self.device, DEVICES)
        one_of("precision", self.precision, PRECISIONS)
        if not isinstance(self.hidden, tuple) or not all(
            isinstance(h, (int, np.integer)) and not isinstance(h, bool) and h >= 1 for h in self.hidden
        ):
            raise ArgumentError(f"hidden={self.hidden!r} is not allowed; give units per layer, such as (32,), or ().")
        for name, low in (("max_epochs", 0), ("batch_size", 1), ("patience", 1)):
            whole(name, getattr(self, name), least=low)
        for name, (lowest, highest) in _BOUNDS.items():
            value = getattr(self, name)
            if name == "penalty" and value is None:
                continue
            number(name, value, least=lowest, most=highest)

    def ridge(self, n_features: int) -> float:
        """Penalty of the linear start for a number of features."""
        return max(1.0, n_features / 4.0) if self.penalty is None else float(self.penalty)


def find_device(name: str) -> torch.device:
    """The device a name means. ``name``: ``"auto"`` takes a CUDA GPU where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device='cuda' is not there: torch sees no CUDA GPU; use device='auto' or 'cpu'.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ArgumentError("device='mps' is not there: torch sees no Apple GPU; use device='auto' or 'cpu'.")
    return torch.device(name)


def number_type(precision: str, device: torch.device) -> torch.dtype:
    """Type of the parameters (bfloat16 is for products only, so parameters are float32 then)."""
    if precision == "float64":
        if device.type == "mps":
            raise ArgumentError("precision='float64' is not there on device='mps'; use 'float32', or device='cpu'.")
        return torch.float64
    return torch.float32


def mixed(precision: str, device: torch.device) -> Any:
    """Context in which matrix products run in bfloat16: on a CUDA GPU with ``"auto"``, anywhere with ``"bfloat16"``."""
    on = precision == "bfloat16" or (
        precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=on)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch limited to one thread: small products fit the cache, and a second thread would spin."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
