"""Censored risk minimisation with any scikit-learn learner that takes sample weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin, is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._core.types import Array, Bools, Floats
from ..errors import DataError, LearnerError
from .minimise import CensoredRisk, note_features


@dataclass(eq=False, repr=False, kw_only=True)
class CensoredRegressor(RegressorMixin, CensoredRisk):
    """Predict durations up to a horizon from right-censored ones, with any learner.

    With T the duration, C the censoring time, U = min(T, C): minimises the risk under censoring

        sum_i w_i Delta_i / G(U_i- | V_i) (min(U_i, tau) - f(X_i))^2,

    where Delta_i says that the row's event was seen or that it was under observation at tau, G is the distribution of
    censoring times, and w_i a sampling weight. The learner sees complete rows with these weights. Dropping censored
    rows, or taking them as complete, learns durations that are too short.

    Parameters
    ----------
    estimator : scikit-learn regressor
        Cloned; its ``fit`` must take ``sample_weight``. A Pipeline gets it at its last step.
    tau : float or "auto"
        Horizon, in the units of time; the prediction is the restricted mean E[min(T, tau) | X]. ``"auto"`` takes the
        largest time at which enough rows are still under observation; give a number where models are compared, because
        risks of different horizons cannot be.
    censoring : str, Method, scikit-learn classifier or callable
        How G is estimated: ``"marginal"``, ``"strata"``, ``"kernel"``, ``"cox"``, ``"forest"``, ``"boosting"``,
        ``"logit"``; with names of columns of X, ``"strata(region)"``, ``"kernel(age)"``, ``"cox(age + income)"``, or
        :class:`Strata`, :class:`Kernel`, :class:`Cox`, :class:`Learned`, :class:`Function`; see
        :func:`karat.censoring.weights`.
    covariates : sequence of str or int, or callable, optional
        V: columns of X by name or position, or a function of X. By default the columns that ``censoring`` names, else
        all of X where G needs covariates.
    folds : int, optional
        Cross-fit the weights: each row's G comes from the other folds. By default 5 where G is learned, none otherwise.
    leave_one_out : {False, "self", "floor"}
        Take each row out of its own estimate of G instead.
    floor : float
        G is raised to this where it is smaller.
    clip : bool
        Keep predictions between 0 and tau, where the restricted mean lies.
    random_state : int, RandomState or None
        For folds and learners of G.

    Attributes
    ----------
    estimator_ : fitted learner
    weights_ : CensoringWeights
        Of the training rows; ``weights_.diagnostics()`` says how well complete rows cover the others.
    tau_ : float
    mean_ : float
        Weighted mean of min(U, tau) of the training rows.

    Raises
    ------
    LearnerError
        If the learner takes no sample weights.

    Notes
    -----
    The learner sees weights with a mean of about 1 over all rows, as if nothing were censored; scale a
    ``sample_weight`` to a mean of 1 as well where the learner has a penalty. Searches belong outside,
    ``GridSearchCV(CensoredRegressor(...))``, where they score by censored risk; inside they would score complete rows
    unweighted. To use a covariate of G that the learner must not see, let the learner be a pipeline that drops it.

    References
    ----------
    Ausset, Clemencon, Portier (2022), *Empirical risk minimization under random censorship*, JMLR 23.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> import karat as kt
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(size=(2000, 1))
    >>> duration, censored = rng.exponential(1 + 2 * x[:, 0]), rng.exponential(3.0, size=2000)
    >>> y = kt.censoring.outcome(np.minimum(duration, censored), duration <= censored)
    >>> model = kt.censoring.CensoredRegressor(Ridge(), tau=4.0).fit(x, y)
    >>> model.predict([[0.0], [1.0]]).round(1).tolist()
    [1.1, 2.3]
    """

    clip: bool = True

    score = CensoredRisk.score  # not the mixin's, which knows nothing of censoring

    def predict(self, X: Any) -> Floats:
        """Predicted restricted mean E[min(T, tau) | X].

        Parameters
        ----------
        X : array_like or data frame, shape (m, p)

        Returns
        -------
        ndarray, shape (m,)
            In the units of time, between 0 and tau (unless ``clip=False``).
        """
        check_is_fitted(self, "estimator_")
        note_features(self, X, reset=False)
        values = np.asarray(self.estimator_.predict(X), dtype=np.float64)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        return np.clip(values, 0.0, self.tau_) if self.clip else values

    def _known(self, restricted: Floats, past: Bools) -> Floats:
        return restricted

    def _predicted(self, X: Any) -> Floats:
        return self.predict(X)

    def _check_learner(self) -> None:
        if not _is_estimator(self.estimator, "predict") or _classifies(self.estimator):
            raise LearnerError(
                f"estimator={self.estimator!r} is not a regressor; give an instance of one whose fit takes "
                "sample_weight, or use CensoredClassifier for survival past tau."
            )


class CensoredClassifier(CensoredRisk):
    """Predict whether durations exceed a horizon from right-censored ones, with any classifier.

    Complete rows are those whose event was seen or that were under observation at tau; they are weighted by
    Delta_tau / G(U_tau- | V) and labelled 1 if the duration exceeds tau. A row censored at tau itself exceeds it.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Cloned; ``fit`` must take ``sample_weight``, and ``predict_proba`` must be there.
    tau : float or "auto"
        Horizon.
    censoring, covariates, folds, leave_one_out, floor, random_state
        As in :class:`CensoredRegressor`.

    Attributes
    ----------
    estimator_ : fitted classifier
    classes_ : ndarray
        0 and 1: up to tau, and past tau.
    weights_ : CensoringWeights
    tau_ : float
    mean_ : float
        Weighted share of training rows past tau: Kaplan-Meier's S(tau) where G is marginal.

    Notes
    -----
    ``score`` is minus the censored Brier score, the squared-error risk of the probability. scikit-learn does not take
    it for a classifier of its own, since durations are not classes that folds could be stratified by.

    References
    ----------
    Graf, Schmoor, Sauerbrei, Schumacher (1999), *Assessment and comparison of prognostic classification schemes for
    survival data*, Statistics in Medicine 18; Ausset, Clemencon, Portier (2022), JMLR 23.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> import karat as kt
    >>> y = kt.censoring.outcome([1.0, 2.0, 2.5, 3.0, 4.0, 5.0], [1, 1, 0, 1, 0, 1])
    >>> x = [[0.0], [0.1], [0.4], [0.2], [0.9], [1.0]]
    >>> model = kt.censoring.CensoredClassifier(LogisticRegression(), tau=3.0).fit(x, y)
    >>> model.predict([[0.0], [1.0]]).tolist()
    [0, 1]
    """

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of ending up to tau and of lasting past it.

        Parameters
        ----------
        X : array_like or data frame, shape (m, p)

        Returns
        -------
        ndarray, shape (m, 2)
            P(T <= tau | X) and P(T > tau | X).
        """
        check_is_fitted(self, "estimator_")
        note_features(self, X, reset=False)
        return np.asarray(self.estimator_.predict_proba(X), dtype=np.float64)

    def predict(self, X: Any) -> Array:
        """1 where lasting past tau is more likely than not.

        Parameters
        ----------
        X : array_like or data frame, shape (m, p)

        Returns
        -------
        ndarray of int, shape (m,)
        """
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(np.intp)]

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))
    def decision_function(self, X: Any) -> Floats:
        """The classifier's own score of lasting past tau.

        Parameters
        ----------
        X : array_like or data frame, shape (m, p)

        Returns
        -------
        ndarray, shape (m,)
        """
        check_is_fitted(self, "estimator_")
        note_features(self, X, reset=False)
        return np.asarray(self.estimator_.decision_function(X), dtype=np.float64)

    @property
    def classes_(self) -> Array:
        """0 and 1: up to tau, and past tau."""
        check_is_fitted(self, "estimator_")
        return np.array([0, 1])

    def _known(self, restricted: Floats, past: Bools) -> Floats:
        return past.astype(np.int64)

    def _predicted(self, X: Any) -> Floats:
        return self.predict_proba(X)[:, 1]

    def _check_target(self, target: Floats) -> None:
        if len(np.unique(target)) < 2:
            which = "past" if target[0] else "up to"
            raise DataError(
                f"there is one class only: every complete duration lasts {which} tau={self.tau_:g}. Choose another tau."
            )

    def _check_learner(self) -> None:
        if not _is_estimator(self.estimator, "predict_proba") or not _classifies(self.estimator):
            raise LearnerError(
                f"estimator={self.estimator!r} gives no probabilities (predict_proba); give such a classifier, or use "
                "CensoredRegressor for durations."
            )


def _is_estimator(estimator: Any, method: str) -> bool:
    return hasattr(estimator, method) and hasattr(estimator, "get_params") and not isinstance(estimator, type)


def _classifies(estimator: Any) -> bool:
    try:
        return bool(is_classifier(estimator))
    except AttributeError:  # an estimator from elsewhere, without scikit-learn's tags
        return hasattr(estimator, "predict_proba")
