"""Networks as scikit-learn estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ...errors import ArgumentError, DataError, LearnerError, one_of
from .fit import Networks, Problem, fit_networks
from .heads import Head, class_head, number_head
from .settings import Settings

if TYPE_CHECKING:
    from ..._types import Array, Floats, Ints
    from .surrogates import Surrogates

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
    """

    mean: Floats
    variance: Floats
    support: Floats | None = None
    probability: Floats | None = None


@dataclass(frozen=True)
class Fitted:
    """One network of several that were trained together.

    Parameters
    ----------
    networks : Networks
        One.
    centre, spread : ndarray, shape (p,)
    classes_ : ndarray of int, shape (K,)
    """

    networks: Networks
    centre: Floats
    spread: Floats
    classes_: Ints

    def predict(self, x: Floats) -> Floats:
        """Expectations, shape (m,)."""
        out: Floats = self.networks.mean((x - self.centre) / self.spread)[0]
        return out

    def predict_proba(self, x: Floats) -> Floats:
        """Class probabilities, shape (m, K)."""
        return self.predict(x)


class _Network(BaseEstimator):
    """What the classifier and the regressor share."""

    _own: tuple[str, ...] = ()

    def _settings(self) -> Settings:
        hidden = (self.hidden,) if isinstance(self.hidden, (int, np.integer)) else tuple(self.hidden)
        return Settings(
            hidden=hidden,
            dropout=self.dropout,
            penalty=self.penalty,
            weight_decay=self.weight_decay,
            learning_rate=self.learning_rate,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            early_stopping=self.early_stopping,
            validation_fraction=self.validation_fraction,
            patience=self.patience,
            refit=self.refit,
            calibrate=getattr(self, "calibrate", False),
            device=self.device,
            precision=self.precision,
            progress=self.progress,
        )

    def _seed(self) -> int:
        from sklearn.utils import check_random_state

        if isinstance(self.random_state, (int, np.integer)) and not isinstance(self.random_state, bool):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _stage_options(self) -> tuple[str, dict[str, Any]] | None:
        """Loss and options of the pre-training, or None; checked."""
        from .robust import read_loss

        one_of("pretrain", self.pretrain, (None, "surrogates"))
        loss, options = read_loss(self.loss, self.loss_options)
        if self.pretrain is None:
            if loss != "soft_cross_entropy":
                raise ArgumentError(
                    f"loss={loss!r} is about surrogate labels, and pretrain is None; use pretrain='surrogates'."
                )
            return None
        return loss, options

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
        self,
        x: Floats,
        values: Floats,
        weight: Floats | None,
        rows: list[Ints],
        seeds: list[int],
        n_classes: int,
        every: Floats,
        n_chained: int = 0,
        surrogate: Surrogates | None = None,
    ) -> list[Fitted]:
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
        seeds : list of int
        n_classes : int
            0 for numbers.
        every : ndarray, shape (N, p)
            Features of all rows, by which features are standardised (chained ones as the surrogates have them).
        surrogate : Surrogates, optional
            Surrogate labels of all rows, for pre-training.

        Returns
        -------
        list of Fitted
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
        chosen, stage = self._stage_options(), None
        if chosen is not None:
            if surrogate is None:
                raise LearnerError("pretrain='surrogates' needs surrogate labels, and this label has none; use None.")
            stage = surrogate.stage(head, every, chosen).standardise(self.centre_, self.spread_)
        z = (x - self.centre_) / self.spread_
        networks = self._networks(head, z, target, weight, tuple(rows), tuple(seeds), stage)
        return [
            Fitted(networks.take(m), self.centre_, self.spread_, np.arange(n_classes)) for m in range(len(rows))
        ]

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

    def _fit(self, head: Head, x: Floats, target: Floats, weight: Floats, given: dict[str, Any]) -> _Network:
        """Fit the one network of the estimator."""
        from .surrogates import read_stage

        seed = self._seed()
        chosen = self._stage_options()
        stage = None
        every = None
        if chosen is not None or any(v is not None for v in given.values()):
            stage, every = read_stage(self, head, x, chosen, seed, **given)
        there = weight > 0
        z = self._standard(x[there], weight[there], every)
        if stage is not None:
            stage = stage.standardise(self.centre_, self.spread_, there)
        networks = self._networks(head, z, target[there], weight[there], (np.arange(len(z)),), (seed,), stage)
        self.networks_ = networks
        self.n_iter_ = int(networks.epochs[0])
        return self


def _several_columns(y: Any) -> bool:
    """Whether y is a table of more than one column."""
    shape = np.shape(np.asarray(y)) if y is not None else ()
    return len(shape) == 2 and shape[1] > 1


def _weights(sample_weight: Any, x: Floats) -> Floats:
    weight = _check_sample_weight(sample_weight, x, dtype=np.float64)
    if (weight < 0).any():
        raise DataError("sample_weight is negative in some row; weights must be 0 or more.")
    if not (weight > 0).any():
        raise DataError("sample_weight is zero in every row; at least one must be positive.")
    return weight


class TorchClassifier(ClassifierMixin, _Network):
    """Class probabilities by a small network with a linear skip connection, fitted with torch.

    The network starts at a penalised linear (logit) model and learns what that leaves out; rows held out decide for how
    long, so that it stays linear where nothing is gained. As ``learner=`` of :func:`karat.regress` all folds and
    repeats are trained at once.

    Parameters
    ----------
    hidden : int or tuple of int
        Units of each hidden layer; ``()`` is a linear model.
    ordinal : bool
        Cumulative logits, classes in sorted order (three or more).
    dropout : float
        Share of hidden units dropped in training.
    penalty : float, optional
        Ridge penalty of the linear start, on standardised features and the sum of losses; by default
        ``max(1, p / 4)`` for p features.
    weight_decay : float
        Decoupled weight decay: hidden weights to 0, the linear part to its start.
    learning_rate : float
    max_epochs : int
    batch_size : int
    early_stopping : bool
        Hold out rows and keep the best epoch. With fewer than 40 rows the network stays at its linear start;
        False trains ``max_epochs`` on all rows.
    validation_fraction : float
    patience : int
        Epochs without gain after which training stops.
    refit : bool
        Train once more on all rows, for as many epochs as were best.
    calibrate : bool
        Temperature scaling on the held-out rows.
    class_weight : "balanced", dict or None
        As in scikit-learn. It distorts probabilities: leave it at None where they are used for inference.
    logit_adjustment : float
        Adds this times the log class shares to the logits in training (balanced error at 1).
    pretrain : {None, "surrogates"}
        Learn from surrogate labels of all rows first (see ``fit``).
    loss : str
        Loss of the pre-training: ``"soft_cross_entropy"``, ``"forward"``, ``"em"``, ``"early_learning"``,
        ``"co_teaching"``, ``"confident_learning"``, ``"prototypes"``, ``"meta_weights"``, ``"neighbours"``;
        see :mod:`karat.predict.networks.robust`.
    loss_options : dict, optional
        Options of the loss.
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16", "float64"}
        ``"auto"`` multiplies in bfloat16 on a CUDA GPU and in float32 elsewhere; parameters are float32.
    progress : bool
        Show a progress bar.
    random_state : int, RandomState or None
        Same seed, same device: same network.

    Attributes
    ----------
    classes_ : ndarray, shape (K,)
    networks_ : Networks
    n_iter_ : int
        Epochs trained; 0 means the linear start.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), *On calibration of modern neural networks*; Loshchilov and Hutter (2019),
    *Decoupled weight decay regularization*; Menon et al. (2021), *Long-tail learning via logit adjustment*;
    McCullagh (1980), *Regression models for ordinal data*.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.predict import TorchClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = TorchClassifier(random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape
    (200, 2)
    """

    def __init__(
        self,
        hidden: Any = (32,),
        *,
        ordinal: bool = False,
        dropout: float = 0.0,
        penalty: float | None = None,
        weight_decay: float = 0.05,
        learning_rate: float = 0.005,
        max_epochs: int = 60,
        batch_size: int = 64,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        patience: int = 8,
        refit: bool = True,
        calibrate: bool = True,
        class_weight: Any = None,
        logit_adjustment: float = 0.0,
        pretrain: str | None = None,
        loss: str = "soft_cross_entropy",
        loss_options: dict[str, Any] | None = None,
        device: str = "auto",
        precision: str = "auto",
        progress: bool = False,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.ordinal = ordinal
        self.dropout = dropout
        self.penalty = penalty
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.refit = refit
        self.calibrate = calibrate
        self.class_weight = class_weight
        self.logit_adjustment = logit_adjustment
        self.pretrain = pretrain
        self.loss = loss
        self.loss_options = loss_options
        self.device = device
        self.precision = precision
        self.progress = progress
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        surrogate: Any = None,
        X_all: Any = None,
        gold: Any = None,
        hide: Any = None,
    ) -> TorchClassifier:
        """Fit the network.

        Parameters
        ----------
        X : array_like, shape (n, p)
        y : array_like, shape (n,) or (n, K)
            Classes, or class distributions (rows add up to 1; classes are 0 to K - 1).
        sample_weight : array_like, shape (n,), optional
        surrogate : array_like, shape (N,) or (N, S), optional
            With ``pretrain="surrogates"``: surrogate classes of the rows of ``X_all``, or their distributions over
            ``classes_`` and then any classes that gold does not have. Missing ones are left out.
        X_all : array_like, shape (N, p), optional
            Features of all rows; by default ``X``.
        gold : array_like of int, shape (n,), optional
            Which rows of ``X_all`` the rows of ``X`` are, for losses that learn from gold how surrogates err.
        hide : array_like of int, optional
            Columns that hold surrogates themselves, unseen in pre-training.

        Returns
        -------
        TorchClassifier

        Raises
        ------
        LearnerError
            If y has a single class.
        DataError, ArgumentError
            If an argument does not fit.
        """
        x, target = self._read(X, y)
        weight = _weights(sample_weight, x)
        share = weight @ target
        if (share > 0).sum() < 2:
            raise LearnerError(
                f"y holds one class only in the {int((weight > 0).sum())} row(s) that count, and a classifier needs "
                "two; label rows of another class."
            )
        head = class_head(len(self.classes_), self.ordinal)
        given = {"surrogate": surrogate, "X_all": X_all, "gold": gold, "hide": hide}
        self._fit(head, x, target, weight, given)
        return self

    def _read(self, X: Any, y: Any) -> tuple[Floats, Floats]:
        """Features, and targets as class distributions of shape (n, K)."""
        if _several_columns(y):
            x, soft = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
            soft = np.asarray(soft, dtype=np.float64)
            if (soft < -1e-9).any() or (np.abs(soft.sum(axis=1) - 1.0) > 1e-4).any():
                raise DataError(
                    "y has several columns, so its rows must be class distributions: not negative, adding up to 1; "
                    "some do not."
                )
            self.classes_ = np.arange(soft.shape[1])
            soft = np.clip(soft, 0.0, None)
            return x, soft / soft.sum(axis=1, keepdims=True)
        x, y = validate_data(self, X, y, dtype=np.float64)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        return x, np.eye(len(self.classes_))[codes]

    def _class_weights(self, head: Head) -> Any:
        if self.class_weight is None:
            return None
        if isinstance(self.class_weight, str):
            one_of("class_weight", self.class_weight, ("balanced",))
            return "balanced"
        if not hasattr(self.class_weight, "items"):
            raise ArgumentError(
                f"class_weight is a {type(self.class_weight).__name__}; give 'balanced', a dict from class to weight, "
                "or None."
            )
        named = {str(k): v for k, v in self.class_weight.items()}
        out = np.array([float(named.get(str(c), 1.0)) for c in self.classes_])
        if (out < 0).any():
            raise ArgumentError(f"class_weight={self.class_weight!r} holds a negative weight; weights are 0 or more.")
        return out

    def predict_proba(self, X: Any) -> Floats:
        """Class probabilities.

        Parameters
        ----------
        X : array_like, shape (m, p)

        Returns
        -------
        ndarray, shape (m, K)
        """
        x = self._scaled(X)
        out: Floats = self.networks_.mean(x)[0]
        return out / out.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Array:
        """Most probable class, shape (m,)."""
        best = self.predict_proba(X).argmax(axis=1)
        out: Array = self.classes_[best]
        return out


class TorchRegressor(RegressorMixin, _Network):
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

    # there is one loss for surrogate numbers: least squares
    loss = "soft_cross_entropy"
    loss_options = None

    def __init__(
        self,
        hidden: Any = (32,),
        *,
        distribution: str = "squared",
        dropout: float = 0.0,
        penalty: float | None = None,
        weight_decay: float = 0.05,
        learning_rate: float = 0.005,
        max_epochs: int = 60,
        batch_size: int = 64,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        patience: int = 8,
        refit: bool = True,
        pretrain: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        progress: bool = False,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.distribution = distribution
        self.dropout = dropout
        self.penalty = penalty
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.refit = refit
        self.pretrain = pretrain
        self.device = device
        self.precision = precision
        self.progress = progress
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        surrogate: Any = None,
        X_all: Any = None,
        gold: Any = None,
        hide: Any = None,
    ) -> TorchRegressor:
        """Fit the network.

        Parameters
        ----------
        X : array_like, shape (n, p)
        y : array_like, shape (n,) or (n, J)
            Numbers, or (for counts) distributions over 0 to J - 1, rows adding up to 1.
        sample_weight : array_like, shape (n,), optional
        surrogate : array_like, shape (N,) or (N, s), optional
            With ``pretrain="surrogates"``: one or several surrogate numbers of the rows of ``X_all``, on any scale.
        X_all, gold, hide
            As in :meth:`TorchClassifier.fit`.

        Returns
        -------
        TorchRegressor

        Raises
        ------
        DataError, ArgumentError
            If an argument does not fit.
        """
        several = _several_columns(y)
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
        weight = _weights(sample_weight, x)
        head = number_head(self.distribution, target[weight > 0])
        given = {"surrogate": surrogate, "X_all": X_all, "gold": gold, "hide": hide}
        self._fit(head, x, target, weight, given)
        return self

    def predict(self, X: Any) -> Floats:
        """Expectation, shape (m,) (with ``distribution="huber"`` the robust centre)."""
        x = self._scaled(X)
        out: Floats = self.networks_.mean(x)[0]
        return out

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

