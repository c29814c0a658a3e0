"""Class probabilities by networks, as a scikit-learn estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from ..._core.arguments import checked_arguments
from ..._core.types import Array, Floats
from ...errors import ArgumentError, DataError, LearnerError, one_of
from .base import Network, read_weights, several_columns
from .heads import Head, class_head


@dataclass(eq=False, repr=False, kw_only=True)
class TorchClassifier(ClassifierMixin, Network):
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

    ordinal: bool = False
    calibrate: bool = True
    class_weight: Any = None
    logit_adjustment: float = 0.0

    @checked_arguments()
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, surrogate: Any = None, X_all: Any = None,
        hide: Any = None,
    ) -> TorchClassifier:  # fmt: skip
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
        weight = read_weights(sample_weight, x)
        share = weight @ target
        if (share > 0).sum() < 2:
            raise LearnerError(
                f"y holds one class only in the {int((weight > 0).sum())} row(s) that count, and a classifier needs "
                "two; label rows of another class."
            )
        head = class_head(len(self.classes_), self.ordinal)
        given = {"surrogate": surrogate, "X_all": X_all, "hide": hide}
        self._fit(head, x, target, weight, given)
        return self

    def _read(self, X: Any, y: Any) -> tuple[Floats, Floats]:
        """Features, and targets as class distributions of shape (n, K)."""
        if several_columns(y):
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
        return self.classes_[best]
