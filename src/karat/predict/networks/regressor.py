"""Numbers by networks, as a scikit-learn estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d, validate_data

from ..._core.arguments import checked_arguments
from ..._core.types import Floats
from ...errors import ArgumentError, DataError
from .base import Network, read_weights, several_columns
from .number_heads import number_head

_MOST_VALUES = 65_536


@dataclass(frozen=True)
class Distribution:
    """Predicted distributions of m rows.

    Parameters
    ----------
    mean, variance : ndarray, shape (m,)
    support : ndarray, shape (J,), or None
        Whole numbers; None for a normal distribution.
    probability : ndarray, shape (m, J), or None

    Examples
    --------
    >>> import numpy as np
    >>> from karat.predict import TorchRegressor
    >>> x = np.arange(40.0)[:, None]
    >>> model = TorchRegressor(distribution="poisson", max_epochs=1, random_state=0).fit(x, np.arange(40) % 3)
    >>> model.predict_distribution(x).mean.shape
    (40,)
    """

    mean: Floats
    variance: Floats
    support: Floats | None = None
    probability: Floats | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class TorchRegressor(RegressorMixin, Network):
    """Expectations and distributions of numbers by a small network with a linear skip connection, fitted with torch.

    Parameters
    ----------
    hidden : int or tuple of int
    distribution : {"squared", "gaussian", "huber", "poisson", "laplace", "bitwise"}
        What the network fits. ``"squared"``: the expectation. ``"gaussian"``: mean and standard deviation.
        ``"huber"``: a centre that outliers do not pull. Counts: ``"poisson"``; ``"laplace"``, a Laplace distribution
        rounded to whole numbers and cut at 0; ``"bitwise"``, one Bernoulli distribution for each binary digit.
    dropout, penalty, weight_decay, learning_rate, max_epochs, batch_size, early_stopping, validation_fraction, \
patience, refit, pretrain, device, precision, progress, random_state
        As in :class:`TorchClassifier`.

    Attributes
    ----------
    networks_ : Networks
    n_iter_ : int
        Epochs trained; 0 means the linear start.

    References
    ----------
    Maat and Bloem (2026), *Predicting integers from continuous parameters*, arXiv 2602.10751; Huber (1964),
    *Robust estimation of a location parameter*.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.predict import TorchRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 2))
    >>> counts = rng.poisson(np.exp(0.5 * X[:, 0]))
    >>> model = TorchRegressor(distribution="poisson", random_state=0).fit(X, counts)
    >>> model.predict(X).shape
    (200,)
    """

    distribution: str = "squared"

    @checked_arguments()
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, surrogate: Any = None, X_all: Any = None,
        hide: Any = None,
    ) -> TorchRegressor:  # fmt: skip
        """Fit the network.

        Parameters
        ----------
        X : array_like, shape (n, p)
        y : array_like, shape (n,) or (n, J)
            Numbers, or (for counts) distributions over 0 to J - 1, rows adding up to 1.
        sample_weight : array_like, shape (n,), optional
        surrogate : array_like, shape (N,) or (N, s), optional
            With ``pretrain="surrogates"``: one or several surrogate numbers of the rows of ``X_all``, on any scale.
        X_all, hide
            As in :meth:`TorchClassifier.fit`.

        Returns
        -------
        TorchRegressor

        Raises
        ------
        DataError, ArgumentError
            If an argument does not fit.
        """
        several = several_columns(y)
        x, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, multi_output=several)
        if several:
            target = np.asarray(y, dtype=np.float64)
            if (target < -1e-9).any() or (np.abs(target.sum(axis=1) - 1.0) > 1e-4).any():
                raise DataError(
                    "y has several columns, so its rows must be distributions over 0, 1, ...: not negative, adding up "
                    "to 1; some do not."
                )
        else:
            target = column_or_1d(y, warn=True).astype(np.float64)[:, None]
        weight = read_weights(sample_weight, x)
        head = number_head(self.distribution, target[weight > 0])
        given = {"surrogate": surrogate, "X_all": X_all, "hide": hide}
        self._fit(head, x, target, weight, given)
        return self

    def predict(self, X: Any) -> Floats:
        """Expectation, shape (m,) (with ``distribution="huber"`` the robust centre)."""
        x = self._scaled(X)
        return self.networks_.mean(x)[0]

    def predict_distribution(self, X: Any, support: Any = None) -> Distribution:
        """Predicted distributions.

        Parameters
        ----------
        X : array_like, shape (m, p)
        support : array_like of int, shape (J,), optional
            Whole numbers to give the probabilities of; by default as many from 0 (from the smallest number seen, for
            ``"bitwise"``) as hold all but 1e-6 of each row's probability, at most 65,536.

        Returns
        -------
        Distribution

        Raises
        ------
        ArgumentError
            If ``distribution`` is ``"squared"`` or ``"huber"``, which fit no distribution.
        """
        x = self._scaled(X)
        nets = self.networks_
        if self.distribution in ("squared", "huber"):
            raise ArgumentError(
                f"distribution={self.distribution!r} fits a centre, not a distribution; use 'gaussian', 'poisson', "
                "'laplace' or 'bitwise'."
            )
        mean: Floats = nets.mean(x)[0]
        if self.distribution == "gaussian":
            log_sd = np.clip(nets.outputs(x)[0, :, 1], -7.0, 7.0)
            return Distribution(mean, (nets.scales["spread"][0, 0, 0] * np.exp(log_sd)) ** 2)
        if self.distribution == "poisson":
            from scipy.stats import poisson

            at = np.arange(self._enough(mean, np.sqrt(mean))) if support is None else np.asarray(support)
            return Distribution(mean, mean, at, poisson.pmf(at, mean[:, None]))
        if support is not None:
            at = np.asarray(support)
        elif self.distribution == "bitwise":
            at = nets.scales["low"][0, 0, 0] + np.arange(2 ** int(nets.scales["used"].sum()))
        else:
            scale = nets.scales["spread"][0, 0, 0] * np.exp(np.clip(nets.outputs(x)[0, :, 1], -5.0, 7.0))
            at = np.arange(self._enough(mean, 2.0 * scale))
        if len(at) > _MOST_VALUES:
            raise ArgumentError(f"the support has {len(at)} values, more than {_MOST_VALUES}; give support=.")
        probability = nets.probability(x, at.astype(np.float64))[0]
        variance = probability @ at.astype(np.float64) ** 2 - (probability @ at) ** 2
        return Distribution(mean, np.maximum(variance, 0.0), at, probability)

    @staticmethod
    def _enough(mean: Floats, spread: Floats) -> int:
        return int(min(_MOST_VALUES, np.ceil((mean + 8.0 * spread).max()) + 8))
