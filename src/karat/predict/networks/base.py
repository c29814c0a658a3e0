"""What the classifier and the regressor share: settings, scaling, fitting one network or many."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..._core.types import Floats, Ints
from ...errors import ArgumentError, DataError, LearnerError, one_of
from .fit import Networks, Problem, fit_networks
from .heads import Head, class_head
from .number_heads import number_head
from .settings import Settings
from .surrogates import Surrogates, read_stage

_PRETRAIN = (None, "surrogates")


@dataclass(frozen=True)
class Fitted:
    """One network of several that were trained together, with centre and spread of its features, (p,)."""

    networks: Networks
    centre: Floats
    spread: Floats
    classes_: Ints

    def predict(self, x: Floats) -> Floats:
        """Expectations, shape (m,)."""
        return self.networks.mean((x - self.centre) / self.spread)[0]

    def predict_proba(self, x: Floats) -> Floats:
        """Class probabilities, shape (m, K)."""
        return self.predict(x)


@dataclass(eq=False, repr=False)
class Network(BaseEstimator):
    """What the classifier and the regressor share; their settings are the fields."""

    hidden: Any = (32,)
    _: KW_ONLY
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
    pretrain: str | None = None
    device: str = "auto"
    precision: str = "auto"
    progress: bool = False
    random_state: Any = None

    def _settings(self) -> Settings:
        given = {f.name: getattr(self, f.name) for f in fields(Settings) if hasattr(self, f.name)}
        if isinstance(self.hidden, (int, np.integer)):
            given["hidden"] = (self.hidden,)
        else:
            given["hidden"] = tuple(self.hidden)
        return Settings(**{"calibrate": False} | given)

    def _seed(self) -> int:
        from sklearn.utils import check_random_state

        if isinstance(self.random_state, (int, np.integer)) and not isinstance(self.random_state, bool):
            return int(self.random_state)
        try:
            return int(check_random_state(self.random_state).randint(2**31 - 1))
        except ValueError as error:
            raise ArgumentError(
                f"random_state={self.random_state!r} is not allowed; give a whole number of at least 0, a numpy "
                "RandomState, or None."
            ) from error

    def _networks(
        self, head: Head, x: Floats, target: Floats, weight: Floats, rows: tuple[Ints, ...], seeds: tuple[int, ...],
        stage: Any = None,
    ) -> Networks:  # fmt: skip
        """Fit one network for each set of rows; ``x`` is standardised."""
        problem = Problem(
            head, x, target, weight, rows, seeds, self._class_weights(head), getattr(self, "logit_adjustment", 0.0),
            stage,
        )  # fmt: skip
        return fit_networks(problem, self._settings())

    def fit_together(
        self, x: Floats, values: Floats, weight: Floats | None, rows: list[Ints], seeds: list[int], n_classes: int,
        every: Floats, n_chained: int = 0, surrogate: Surrogates | None = None,
    ) -> list[Fitted]:  # fmt: skip
        """Fit one network for each training set, all at once: what cross-fitting calls.

        Parameters
        ----------
        x : ndarray, shape (n, p)
            Features of the gold rows; the last ``n_chained`` are indicators and stay as they are.
        values : ndarray, shape (n,)
            Numbers, or class codes from 0.
        weight : ndarray, shape (n,), or None
        rows : list of ndarray of int
            Training rows of each network, positions in ``x``.
        n_classes : int
            0 for numbers.
        every : ndarray, shape (N, p)
            Features of all rows, by which features are standardised (chained ones as the surrogates have them).
        surrogate : Surrogates, optional
            Surrogate labels of all rows, for pre-training.
        """
        if n_classes:
            self.classes_ = np.arange(n_classes)
            head: Head = class_head(n_classes, getattr(self, "ordinal", False))
            target = np.eye(n_classes)[values.astype(np.intp)]
        else:
            target = np.asarray(values, dtype=np.float64)[:, None]
            head = number_head(getattr(self, "distribution", "squared"), target)
        weight = np.ones(len(x)) if weight is None else weight
        self._standard(x, weight, every)
        if n_chained:
            self.centre_[-n_chained:], self.spread_[-n_chained:] = 0.0, 1.0
        stage = None
        one_of("pretrain", self.pretrain, _PRETRAIN)
        if self.pretrain is not None:
            if surrogate is None:
                raise LearnerError("pretrain='surrogates' needs surrogate labels, and this label has none; use None.")
            stage = surrogate.stage(every).standardise(self.centre_, self.spread_)
        z = (x - self.centre_) / self.spread_
        networks = self._networks(head, z, target, weight, tuple(rows), tuple(seeds), stage)
        return [Fitted(networks.take(m), self.centre_, self.spread_, np.arange(n_classes)) for m in range(len(rows))]

    def _class_weights(self, head: Head) -> Any:
        return None

    def _standard(self, x: Floats, weight: Floats, every: Floats | None) -> Floats:
        """Learn centre and spread, from all rows where they are given, and standardise."""
        if every is not None:
            self.centre_, spread = every.mean(axis=0), every.std(axis=0)
        else:
            share = weight / weight.sum()
            self.centre_ = share @ x
            spread = np.sqrt(share @ (x - self.centre_) ** 2)
        constant = spread <= 1e-10 * np.maximum(np.abs(self.centre_), 1e-3)
        self.spread_ = np.where(constant, np.inf, spread)
        return (x - self.centre_) / self.spread_

    def _scaled(self, X: Any) -> Floats:
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return (x - self.centre_) / self.spread_

    def _fit(self, head: Head, x: Floats, target: Floats, weight: Floats, given: dict[str, Any]) -> Network:
        """Fit the one network of the estimator."""
        seed, stage, every = self._seed(), None, None
        one_of("pretrain", self.pretrain, _PRETRAIN)
        if self.pretrain is not None or any(v is not None for v in given.values()):
            stage, every = read_stage(self, head, x, seed, **given)
        there = weight > 0
        z = self._standard(x[there], weight[there], every)
        if stage is not None:
            stage = stage.standardise(self.centre_, self.spread_)
        networks = self._networks(head, z, target[there], weight[there], (np.arange(len(z)),), (seed,), stage)
        self.networks_ = networks
        self.n_iter_ = int(networks.epochs[0])
        return self


def several_columns(y: Any) -> bool:
    """Whether y is a table of more than one column."""
    shape = np.shape(np.asarray(y)) if y is not None else ()
    return len(shape) == 2 and shape[1] > 1


def read_weights(sample_weight: Any, x: Floats) -> Floats:
    """Sample weights as an array, checked: none negative, not all 0."""
    if sample_weight is not None and not np.asarray(sample_weight).any():
        raise DataError("sample_weight is zero in every row; at least one must be positive.")
    weight: Floats = _check_sample_weight(sample_weight, x, dtype=np.float64)
    if (weight < 0).any():
        raise DataError("sample_weight is negative in some row; weights must be 0 or more.")
    return weight
