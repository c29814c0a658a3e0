"""What censored regressors and classifiers share: weights, fitting, scoring."""

from __future__ import annotations

import inspect
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._core.arguments import checked_arguments
from .._core.types import Bools, Floats
from ..errors import ArgumentError, DataError, LearnerError
from .durations import read_outcome
from .methods import resolve_method
from .risk import calibration, weighted_mean
from .weights import DEFAULT_FLOOR, weights

if TYPE_CHECKING:
    import pandas as pd

from .._core.types import Array, Ints
from .methods import Kernel, Method, Strata


@dataclass(eq=False, repr=False)
class CensoredRisk(MetaEstimatorMixin, BaseEstimator):
    """What the regressor and the classifier share: settings (the fields), weights, fitting, scoring."""

    estimator: Any
    tau: float | str
    _: KW_ONLY
    censoring: Any = "marginal"
    covariates: Any = None
    folds: int | None = None
    leave_one_out: str | bool = False
    floor: float = DEFAULT_FLOOR
    random_state: Any = None

    def _known(self, restricted: Floats, past: Bools) -> Floats:
        """The target of complete rows, given min(U, tau) and whether the duration is known to exceed tau."""
        raise NotImplementedError

    def _check_learner(self) -> None:
        raise NotImplementedError

    def _predicted(self, X: Any) -> Floats:
        """What the risk compares with the target."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Any:
        """Estimate G, weight complete rows by 1 / G, and fit the learner to them.

        Parameters
        ----------
        X : array_like or data frame, shape (n, p)
            Whatever the learner takes.
        y : structured array, array_like of two columns, or data frame, n rows
            Time under observation, and whether the event was seen; see :func:`karat.censoring.outcome`.
        sample_weight : array_like, shape (n,), optional
            Sampling weights, for example 1 / inclusion probability of gold rows. They enter G and the risk. Rows of
            weight 0 take no part; their durations may be missing.
        groups : array_like, shape (n,), optional
            Clusters that the folds of cross-fitted weights never split.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If durations are not allowed, or no row is complete.
        ArgumentError
            If tau lies beyond what was observed, or y or covariates have another form.
        LearnerError
            If the learner takes no sample weights.
        """
        self._check_learner()
        keyword = _weight_keyword(self.estimator)
        time, event, sampling, kept, covariates = self._read(X, y, sample_weight, reset=True)
        self.weights_ = weights(
            time[kept], event[kept], tau=self.tau, censoring=resolve_method(self.censoring), covariates=covariates,
            weights=None if sampling is None else sampling[kept], floor=self.floor, leave_one_out=self.leave_one_out,
            folds=self.folds, cluster=None if groups is None else np.asarray(groups)[kept],
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )  # fmt: skip
        self.tau_ = self.weights_.tau
        total = self.weights_.values if sampling is None else self.weights_.values * sampling[kept]
        durations = self.weights_.durations
        target = self._known(self.weights_.restricted, _past(durations.time, durations.event, self.tau_))
        used = np.flatnonzero(total > 0)
        self.mean_ = float(total[used] @ target[used] / total[used].sum())
        self._check_target(target[used])
        # The weights are this estimator's own, not metadata that a user routes: they go to the last step by its prefix.
        with config_context(enable_metadata_routing=False):
            rows = rows_of(X, kept[used])
            self.estimator_ = clone(self.estimator).fit(rows, target[used], **{keyword: total[used]})
        return self

    def _check_target(self, target: Floats) -> None:
        """Raise if a learner cannot be fitted to it."""

    def _read(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[Floats, Floats, Floats | None, Ints, Array | None]:
        """Times, event codes, sampling weights; the rows that take part, and their covariates of censoring."""
        time, event = read_outcome(y)
        note_features(self, X, reset=reset)
        sampling = _sampling(sample_weight, len(time))
        kept = np.arange(len(time)) if sampling is None else np.flatnonzero(sampling > 0)
        if (n_rows := count_rows(X)) != len(time):
            raise ArgumentError(f"X has {n_rows} rows but y has {len(time)}; give one duration per row.")
        covariates = censoring_covariates(X, resolve_method(self.censoring), self.covariates)
        return time, event, sampling, kept, None if covariates is None else covariates[kept]

    def weigh(self, X: Any, y: Any, sample_weight: Any = None) -> Floats:
        """Weights of new rows from the G of the training rows.

        Parameters
        ----------
        X : array_like or data frame, shape (m, p)
        y : m durations, in any form :meth:`fit` takes
        sample_weight : array_like, shape (m,), optional
            Multiplied into the result.

        Returns
        -------
        ndarray, shape (m,)
            Delta_tau / G(U_tau- | V), 0 for rows censored before tau.
        """
        return self._scored(X, y, sample_weight)[0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Minus the censored risk: the larger, the better.

        The mean squared error of complete rows, weighted by Delta_tau / G(U_tau- | V) with the G of the *training*
        rows. So a search that scores test folds with this method holds them against the same censoring distribution
        that its fit used, and rows censored before tau are neither dropped nor taken as complete. The risk, not a
        share of variance, is the default because its mean over folds estimates what is minimised; :meth:`r2` has the
        share.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`weigh`.

        Returns
        -------
        float

        References
        ----------
        Ausset, Clemencon, Portier (2022), *Empirical risk minimization under random censorship*, JMLR 23.
        """
        w, target = self._scored(X, y, sample_weight)
        return -weighted_mean((target - self._predicted(X)) ** 2, w)

    def r2(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Censored R squared: 1 minus the censored risk over that of the training rows' mean.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`weigh`.

        Returns
        -------
        float
            At most 1; below 0 where the mean predicts better.
        """
        w, target = self._scored(X, y, sample_weight)
        risk = weighted_mean((target - self._predicted(X)) ** 2, w)
        return 1.0 - risk / weighted_mean((target - self.mean_) ** 2, w)

    @checked_arguments()
    def calibration(
        self, X: Any, y: Any, sample_weight: Any = None, *, n_bins: int = 10, alpha: float = 0.05
    ) -> pd.DataFrame:
        """Predicted against observed values in bins of the prediction, for new rows.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`weigh`.
        n_bins : int
            At most this many, with equal numbers of rows.
        alpha : float
            The intervals have level 1 - alpha.

        Returns
        -------
        pandas.DataFrame
            See :func:`karat.censoring.calibration`; :func:`karat.censoring.plot_calibration` draws it.
        """
        w, target = self._scored(X, y, sample_weight)
        return calibration(self._predicted(X), target, w, n_bins=n_bins, alpha=alpha)

    def _scored(self, X: Any, y: Any, sample_weight: Any) -> tuple[Floats, Floats]:
        check_is_fitted(self, "estimator_")
        time, event, sampling, kept, covariates = self._read(X, y, sample_weight, reset=False)
        w, target = np.zeros(len(time)), np.zeros(len(time))
        w[kept] = self.weights_.weigh(time[kept], event[kept], covariates)
        if sampling is not None:
            w *= sampling
        past = _past(time[kept], event[kept] == 1, self.tau_)
        target[kept] = self._known(np.minimum(time[kept], self.tau_), past)
        return w, target

    def __sklearn_tags__(self) -> Any:
        from copy import deepcopy

        from sklearn.utils import get_tags

        tags = super().__sklearn_tags__()
        if hasattr(self.estimator, "__sklearn_tags__") and not isinstance(self.estimator, type):
            tags.input_tags = deepcopy(get_tags(self.estimator).input_tags)
        tags.target_tags.required = True
        return tags


def _past(time: Floats, event: Bools, tau: float) -> Bools:
    """Whether the duration is known to exceed tau; events precede censorings at a tied time."""
    return np.asarray((time > tau) | ((time == tau) & ~event))


def _sampling(sample_weight: Any, n_rows: int) -> Floats | None:
    if sample_weight is None:
        return None
    try:
        values = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight must hold numbers: {error}.") from error
    if values.ndim == 0:
        values = np.full(n_rows, values)
    if values.shape != (n_rows,):
        raise ArgumentError(f"sample_weight has shape {values.shape}; give one weight for each of {n_rows} rows.")
    if (~(values >= 0) | np.isinf(values)).any() or not values.sum() > 0:
        raise DataError("sample_weight must be finite and zero or more in every row, and not zero in all.")
    return values


def _weight_keyword(estimator: Any) -> str:
    """Name under which the learner takes sample weights; a pipeline's last step has its own prefix."""
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.pipeline import Pipeline

    prefix, learner = "", estimator
    while isinstance(learner, Pipeline):
        step, learner = learner.steps[-1]
        prefix += f"{step}__"
    if isinstance(learner, BaseSearchCV):
        raise LearnerError(
            "a search inside would score complete rows unweighted; put it outside: "
            f"{type(learner).__name__}(Censored...(estimator, tau), ...) scores by censored risk."
        )
    if not hasattr(learner, "fit"):
        raise LearnerError(f"estimator={estimator!r} cannot be fitted; give a scikit-learn estimator.")
    parameters = inspect.signature(learner.fit).parameters
    if "sample_weight" not in parameters and all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        raise LearnerError(
            f"{type(learner).__name__} takes no sample_weight in fit, so that complete rows cannot represent censored "
            "ones; use a learner that does, such as Ridge, RandomForestRegressor, HistGradientBoostingRegressor or SVR."
        )
    return f"{prefix}sample_weight"


def censoring_covariates(X: Any, method: Method, columns: Any) -> Array | None:
    """V, the covariates of G.

    ``X`` (n, p); ``method``: may name columns; ``columns``: columns of X, or a function of X; None means those the
    method names, else all of X.

    >>> from karat.censoring import Cox
    >>> censoring_covariates(np.array([[1.0, 2.0], [3.0, 4.0]]), Cox(), [1]).tolist()
    [[2.0], [4.0]]
    """
    if columns is not None and method.columns:
        raise ArgumentError(
            f"the censoring method names the columns {list(method.columns)} and covariates={columns!r} names some too; "
            "use one of them."
        )
    if callable(columns):
        values = np.asarray(columns(X))
        if values.ndim not in (1, 2) or len(values) != count_rows(X):
            shape, n = values.shape, count_rows(X)
            raise ArgumentError(f"the function given as covariates returned shape {shape} for {n} rows; one line each.")
        return values[:, None] if values.ndim == 1 else values
    names = list(method.columns) if columns is None else [columns] if np.ndim(columns) == 0 else list(columns)
    if not names and not method.needs_covariates:
        return None
    if names:
        return _dense(_take(X, names))
    v = _dense(X)
    if isinstance(method, (Kernel, Strata)) and v.shape[1] != 1:
        raise ArgumentError(
            f"X has {v.shape[1]} columns; name those that censoring depends on, for example "
            f"{type(method).__name__}('age') or covariates=['age'] (positions for an array)."
        )
    return v


def rows_of(X: Any, rows: Ints) -> Any:
    """Some rows of an array, a list, a sparse matrix or a data frame."""
    from sklearn.utils import _safe_indexing

    return _safe_indexing(X.tocsr() if hasattr(X, "tocsr") else X if hasattr(X, "__len__") else np.asarray(X), rows)


def count_rows(X: Any) -> int:
    """Number of rows."""
    if hasattr(X, "shape"):
        return int(X.shape[0])
    return len(X) if hasattr(X, "__len__") else len(np.asarray(X))


def note_features(estimator: Any, X: Any, *, reset: bool) -> None:
    """Set (in fit) or check the number and names of features, leaving X as it is for the learner."""
    from sklearn.utils.validation import validate_data

    if _has_features(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)


def _has_features(X: Any) -> bool:
    """Tables and lists of lists have features; texts have none, and what else has none is the learner's to refuse."""
    if hasattr(X, "shape"):
        return len(X.shape) == 2
    return isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], (list, tuple, np.ndarray))


def _take(X: Any, names: list[Any]) -> Any:
    from sklearn.utils import _safe_indexing

    if any(isinstance(name, str) for name in names):
        known = _names(X)
        if known is None:
            raise ArgumentError(
                f"the covariates of censoring are named {names} but X has no column names; give a data frame, or "
                "positions in covariates=. In a pipeline, set_output(transform='pandas') keeps the names."
            )
        if missing := [name for name in names if name not in known]:
            raise ArgumentError(f"X has no column {missing}; it has {known[:20]}.")
        if not isinstance(X, dict) and hasattr(X, "column_names"):  # pyarrow
            return X.select(names).to_pandas()
    values = X if hasattr(X, "shape") else np.asarray(X)
    try:
        return _safe_indexing(values, names, axis=1)
    except (IndexError, ValueError) as error:
        raise ArgumentError(f"covariates={names} are not columns of X: {error}.") from error


def _names(X: Any) -> list[str] | None:
    for attribute in ("column_names", "columns"):
        if (found := getattr(X, attribute, None)) is not None:
            return [str(name) for name in found]
    return None


def _dense(values: Any) -> Array:
    if hasattr(values, "toarray"):
        values = values.toarray()
    array = np.asarray(values)
    if array.ndim != 2:
        raise DataError(f"X has shape {array.shape}; the covariates of censoring need rows and columns.")
    return array
