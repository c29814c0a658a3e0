"""A classifier of texts: a head on a transformer, trained alone or together with it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ..._core.types import Floats, Ints
from ...errors import ArgumentError, DataError, number, one_of, whole
from . import backbone
from .encoder import TextEncoder
from .texts import OfTexts, read_texts
from .training import Lesson, read_targets, split_rows, train_network

_EPOCHS = {"head": 200, "full": 5}
_RATES = {"head": 1e-2, "full": 5e-5}
_HEAD_RATE = 1e-3
_WARM = 0.1


@dataclass(eq=False, repr=False)
class TransformerClassifier(OfTexts, ClassifierMixin, BaseEstimator):
    """Fine-tune a transformer to classify texts, from hard or soft labels.

    Parameters
    ----------
    model : str
        Local folder or hub name of a sentence-transformers or transformers model (``pip install 'karat[text]'``).
    train : {"head", "full"}
        ``"head"``: the transformer stays as it is, a multinomial logit learns on its vectors (which are
        encoded once and kept on disk). ``"full"``: all weights are trained.
    epochs : int or "auto"
        Most passes over the texts; 200 for a head, 5 in full.
    learning_rate : float or "auto"
        0.01 for a head; in full 5e-5 for the transformer (its head learns with 1e-3), warmed up and falling
        to 0 linearly.
    weight_decay : float
    validation : float or None
        Share of the texts that decides when to stop and which epoch to keep; None trains all epochs on all texts.
    patience : int
        Epochs without improvement after which training stops.
    batch_size : int
    max_length : int, optional
    device : str
    precision : {"auto", "float32", "bfloat16"}
        Mixed precision; "auto" is bfloat16 on CUDA devices that can, float32 elsewhere.
    revision, cache
        As in :class:`TextEncoder`.
    progress : bool
    random_state : int, default 0

    Attributes
    ----------
    classes_ : ndarray, shape (K,)
    n_epochs_ : int
        Passes that the kept weights have had.
    validation_loss_ : float or None

    Raises
    ------
    ArgumentError, DataError, LearnerError

    Notes
    -----
    Trained on gold labels it must be cross-fitted like any learner. Trained on surrogate labels alone it sees no
    gold, and its probabilities are one more surrogate.

    References
    ----------
    Howard and Ruder (2018), Universal language model fine-tuning for text classification, ACL; Peterson, Battleday,
    Griffiths and Russakovsky (2019), Human uncertainty makes classification more robust, ICCV, for soft labels.

    Examples
    --------
    >>> from karat.predict import TransformerClassifier
    >>> TransformerClassifier("sentence-transformers/all-MiniLM-L6-v2").get_params()["train"]
    'head'
    """

    model: str
    _: KW_ONLY
    train: str = "head"
    epochs: int | str = "auto"
    learning_rate: float | str = "auto"
    weight_decay: float = 0.01
    validation: float | None = 0.15
    patience: int = 5
    batch_size: int = 32
    max_length: int | None = None
    device: str = "auto"
    precision: str = "auto"
    revision: str | None = None
    cache: Any = "auto"
    progress: bool = False
    random_state: int | None = 0

    def fit(self, X: object, y: object, sample_weight: object = None) -> TransformerClassifier:
        """Train.

        Parameters
        ----------
        X : sequence of str, length N
        y : array_like, shape (N,) or (N, K)
            Classes, or probabilities of the K classes (a data frame names them by its columns).
        sample_weight : array_like, shape (N,), optional

        Returns
        -------
        TransformerClassifier
        """
        self._check()
        texts = read_texts(X)
        self.classes_, target = read_targets(y, len(texts))
        weight = _weights(sample_weight, len(texts))
        self.__dict__.pop("_loaded", None)
        rng = np.random.default_rng(self.random_state)
        training, held_out = split_rows(target, self.validation, rng)
        device = backbone.choose_device(self.device)
        seed = int(rng.integers(2**31))
        lesson = Lesson(target, weight, training, held_out, rng, device)
        with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
            torch.manual_seed(seed)
            if self.train == "head":
                self._fit_head(texts, lesson)
            else:
                self._fit_full(texts, lesson)
        return self

    def predict_proba(self, X: object) -> Floats:
        """Class probabilities.

        Parameters
        ----------
        X : sequence of str, length N

        Returns
        -------
        ndarray, shape (N, K)
        """
        from scipy.special import softmax

        check_is_fitted(self, "classes_")
        texts = read_texts(X)
        if self.train == "head":
            x = (np.asarray(self.encoder_.transform(texts), dtype=np.float64) - self.centre_) / self.scale_
            return np.asarray(softmax(x @ self.weights_.T + self.bias_, axis=1))
        device = backbone.choose_device(self.device)
        body, head = self._network(device)
        logits = np.empty((len(texts), len(self.classes_)))
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        with torch.inference_mode(), backbone.autocast(device, self._format(device)):
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                logits[rows] = head(_pooled(body, [texts[i] for i in rows], device)).float().cpu().numpy()
        return np.asarray(softmax(logits, axis=1))

    def predict(self, X: object) -> np.ndarray:
        """Most probable classes.

        Parameters
        ----------
        X : sequence of str, length N

        Returns
        -------
        ndarray, shape (N,)
        """
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _fit_head(self, texts: list[str], lesson: Lesson) -> None:
        self.encoder_ = TextEncoder(
            self.model, batch_size=self.batch_size, max_length=self.max_length, device=self.device,
            precision=self.precision, revision=self.revision, cache=self.cache, progress=self.progress,
        )  # fmt: skip
        vectors = np.asarray(self.encoder_.fit_transform(texts), dtype=np.float64)
        self.centre_ = vectors[lesson.training].mean(axis=0)
        self.scale_ = np.maximum(vectors[lesson.training].std(axis=0), 1e-6)
        x = torch.tensor((vectors - self.centre_) / self.scale_, dtype=torch.float32, device=lesson.device)
        head = torch.nn.Linear(x.shape[1], len(self.classes_)).to(lesson.device)
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
        rate = float(_RATES["head"] if self.learning_rate == "auto" else self.learning_rate)
        optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=self.weight_decay)
        self._run(lambda rows: head(x[torch.as_tensor(rows, device=lesson.device)]), [head], optimiser, None, lesson)
        self.weights_ = head.weight.detach().cpu().numpy().astype(np.float64)
        self.bias_ = head.bias.detach().cpu().numpy().astype(np.float64)

    def _fit_full(self, texts: list[str], lesson: Lesson) -> None:
        device = lesson.device
        self.folder_, self.identity_ = backbone.locate(self.model, self.revision)
        body = backbone.load(self.folder_, device, self.max_length)
        with torch.inference_mode():
            width = _pooled(body, texts[:1], device).shape[1]
        head = torch.nn.Linear(width, len(self.classes_)).to(device)
        rate = float(_RATES["full"] if self.learning_rate == "auto" else self.learning_rate)
        groups = [
            {"params": list(body.parameters()), "lr": rate},
            {"params": list(head.parameters()), "lr": _HEAD_RATE},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=self.weight_decay)
        steps = self._most_epochs() * -(-len(lesson.training) // self.batch_size)
        warm = max(1, int(_WARM * steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / warm, max(steps - step, 0) / max(steps - warm, 1))
        )

        def forward(rows: Ints) -> Any:
            with backbone.autocast(device, self._format(device)):
                return head(_pooled(body, [texts[i] for i in rows], device)).float()

        self._run(forward, [body, head], optimiser, schedule, lesson)
        self.body_ = {name: value.detach().cpu().clone() for name, value in body.state_dict().items()}
        self.head_ = {name: value.detach().cpu().clone() for name, value in head.state_dict().items()}
        self._loaded = (body.eval(), head.eval())

    def _run(self, forward: Any, parts: list[Any], optimiser: Any, schedule: Any, lesson: Lesson) -> None:
        self.n_epochs_, self.validation_loss_ = train_network(
            forward, parts, optimiser, schedule, lesson, epochs=self._most_epochs(), patience=self.patience,
            batch_size=self.batch_size, progress=self.progress,
        )  # fmt: skip

    def _network(self, device: str) -> tuple[Any, Any]:
        """The trained network, built again after unpickling."""
        if self.__dict__.get("_loaded") is None:
            body = backbone.load(self.folder_, device, self.max_length)
            body.load_state_dict(self.body_)
            head = torch.nn.Linear(self.head_["weight"].shape[1], len(self.classes_))
            head.load_state_dict(self.head_)
            self._loaded = (body.eval(), head.to(device).eval())
        return self._loaded

    def _most_epochs(self) -> int:
        return int(_EPOCHS[self.train] if self.epochs == "auto" else self.epochs)

    def _format(self, device: str) -> str:
        chosen = backbone.choose_precision(self.precision, device)
        return "float32" if chosen == "float16" else chosen

    def _check(self) -> None:
        one_of("train", self.train, ("head", "full"))
        one_of("precision", self.precision, ("auto", "float32", "bfloat16"))
        if not isinstance(self.model, str) or not self.model or self.model == "hashing":
            raise ArgumentError(f"model={self.model!r} is not a transformer; give a folder or hub name.")
        for name in ("epochs", "patience", "batch_size"):
            value = getattr(self, name)
            if (name, value) != ("epochs", "auto"):
                whole(name, value, least=1)
        if self.learning_rate != "auto":
            number("learning_rate", self.learning_rate, above=0, instead="or 'auto'")
        if self.validation is not None:
            number("validation", self.validation, above=0, below=0.9, instead="or None")


def _pooled(body: Any, texts: list[str], device: str) -> Any:
    """Vectors of texts with gradients."""
    prepare = getattr(body, "preprocess", None) or body.tokenize
    inputs = {k: v.to(device) if hasattr(v, "to") else v for k, v in prepare(texts).items()}
    return body(inputs)["sentence_embedding"]


def _weights(given: object, n: int) -> Floats:
    if given is None:
        return np.ones(n)
    weight = np.asarray(given, dtype=np.float64)
    if weight.shape != (n,) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
        raise DataError(f"sample_weight must be {n} numbers, 0 or more, not all 0; got shape {weight.shape}.")
    return weight
