"""The text encoder: texts in, a matrix of features out; vectors are kept on disk by content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from ..._core.store import Store, cache_folder
from ..._core.types import Floats
from ...errors import ArgumentError, CacheError, DataError, one_of, whole
from . import backbone
from .hashing import HashingEncoder
from .texts import OfTexts, distinct, read_texts

_ONLY_TRANSFORMERS = ("revision", "max_length", "prompt")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL);
"""
_AT_ONCE = 500


@dataclass(eq=False, repr=False)
class TextEncoder(OfTexts, TransformerMixin, BaseEstimator):
    """Texts to a matrix of features, for ``features=`` or any learner.

    Parameters
    ----------
    model : str or HashingEncoder, default "hashing"
        ``"hashing"``: hashed n-grams of words and characters, needs no download. Otherwise a local folder or
        hub name of a sentence-transformers or transformers model (``pip install 'karat[text]'``); a model without
        a pooling of its own gets the mean over tokens.
    n_components : int, None or "auto", default "auto"
        Dimensions. ``"auto"`` is 100 for hashing, and all that a transformer has; a number reduces
        the vectors of a transformer by principal components.
    batch_size : int, default 64
        Texts to the model at once.
    max_length : int, optional
        Tokens after which texts are cut; by default the model's own limit.
    prompt : str, optional
        Text put before every text, as some models want (``"passage: "``).
    normalize : bool, default False
        Scale vectors to length 1.
    device : {"auto", "cpu", "cuda", "mps"} or "cuda:1", ...
    precision : {"auto", "float32", "float16", "bfloat16"}
        Format of the forward pass; "auto" is mixed precision on CUDA and float32 elsewhere.
    revision : str, optional
        Commit, tag or branch of a hub model.
    cache : str, Path, None or "auto"
        Folder that keeps vectors of a transformer by content (text, model files or commit, settings), so that
        a text is encoded once, also across runs, kills and processes. ``"auto"`` is the folder in ``KARAT_CACHE`` or
        ``~/.cache/karat/embeddings``; None keeps nothing.
    progress : bool
        Show a progress bar.
    random_state : int or None, default 0
        Seed of the decomposition.

    Attributes
    ----------
    n_features_out_ : int
    identity_ : str
        ``"hashing"``, ``name@commit`` or a fingerprint of the model's files.

    Raises
    ------
    ArgumentError
        If a setting is not allowed or does not belong to the model, or the model is not there.
    DataError
        If a text is missing, or the model gives vectors that are not finite.
    CacheError
        If the cache cannot be written; vectors written before stay.

    Notes
    -----
    Encoders see texts, never labels: encode all texts once, outside cross-fitting.

    Examples
    --------
    >>> from karat.predict import TextEncoder
    >>> texts = ["the tram is a blessing", "noise and rails everywhere", "I welcome the tram", "no rails please"]
    >>> TextEncoder(n_components=3).fit_transform(texts).shape
    (4, 3)
    """

    model: str | HashingEncoder = "hashing"
    _: KW_ONLY
    n_components: int | str | None = "auto"
    batch_size: int = 64
    max_length: int | None = None
    prompt: str | None = None
    normalize: bool = False
    device: str = "auto"
    precision: str = "auto"
    revision: str | None = None
    cache: Any = "auto"
    progress: bool = False
    random_state: int | None = 0

    def fit(self, X: object, y: object = None) -> TextEncoder:
        """Learn what has to be learnt: weights of n-grams, or directions where vectors are reduced.

        Parameters
        ----------
        X : sequence of str, length N
        y : ignored

        Returns
        -------
        TextEncoder
        """
        texts = read_texts(X)
        self._check()
        self._forget()
        if self._hashes:
            self.hashing_ = self._hashing().fit(texts)
            self.identity_, self.n_features_out_ = "hashing", self.hashing_.n_components_
        else:
            self._fit_transformer(texts)
        return self

    def fit_transform(self, X: object, y: object = None) -> Any:
        """Fit and encode, each text once.

        Parameters
        ----------
        X : sequence of str, length N
        y : ignored

        Returns
        -------
        ndarray of float, shape (N, k)
        """
        texts = read_texts(X)
        self._check()
        self._forget()
        if self._hashes:
            self.hashing_ = self._hashing()
            out = self.hashing_.fit_transform(texts)
            self.identity_, self.n_features_out_ = "hashing", self.hashing_.n_components_
            return self._finish(out)
        return self._finish(self._fit_transformer(texts))

    def transform(self, X: object) -> Any:
        """Encode texts.

        Parameters
        ----------
        X : sequence of str, length N

        Returns
        -------
        ndarray of float, shape (N, k)
        """
        check_is_fitted(self, "identity_")
        texts = read_texts(X)
        if self._hashes:
            return self._finish(self.hashing_.transform(texts))
        vectors = self._vectors(texts)
        return self._finish(vectors if self.reduction_ is None else self.reduction_.transform(vectors))

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self, "identity_")
        return np.asarray([f"text{j}" for j in range(self.n_features_out_)], dtype=object)

    @property
    def _hashes(self) -> bool:
        return isinstance(self.model, HashingEncoder) or self.model == "hashing"

    def _hashing(self) -> HashingEncoder:
        if isinstance(self.model, HashingEncoder):
            return clone(self.model)
        wanted: Any = 100 if self.n_components == "auto" else self.n_components
        return HashingEncoder(wanted, random_state=self.random_state)

    def _check(self) -> None:
        if not isinstance(self.model, (str, HashingEncoder)) or not self.model:
            raise ArgumentError(
                f"model is a {type(self.model).__name__}; give 'hashing', a HashingEncoder, a folder or a hub name."
            )
        if self.n_components is not None and self.n_components != "auto":
            whole("n_components", self.n_components, least=1, instead="None, or 'auto'")
        for name in ("batch_size", "max_length"):
            value = getattr(self, name)
            if value is not None or name == "batch_size":
                whole(name, value, least=1)
        backbone.check_device(self.device)
        one_of("precision", self.precision, backbone.PRECISIONS)
        if self._hashes:
            strange = [name for name in _ONLY_TRANSFORMERS if getattr(self, name) is not None]
            if strange:
                raise ArgumentError(f"{strange[0]}= belongs to transformer models; the hashing encoder has none.")
        if isinstance(self.model, HashingEncoder) and self.n_components != "auto":
            raise ArgumentError(
                "n_components= is set in the HashingEncoder that model= holds; leave it at 'auto' here."
            )

    def _forget(self) -> None:
        """What an earlier fit loaded may belong to another model."""
        self.__dict__.pop("_loaded", None)
        self.__dict__.pop("_located", None)
        self.reduction_: Any = None

    def _fit_transformer(self, texts: list[str]) -> Floats:
        from sklearn.decomposition import PCA

        self.folder_, self.identity_ = backbone.locate(str(self.model), self.revision)
        self._located = True
        vectors = self._vectors(texts)
        self.width_ = vectors.shape[1]
        if self.n_components in ("auto", None):
            self.n_features_out_ = self.width_
            return vectors
        wanted = min(int(self.n_components), *vectors.shape)
        self.reduction_ = PCA(wanted, random_state=self.random_state)
        self.n_features_out_ = wanted
        return np.asarray(self.reduction_.fit_transform(vectors))

    def _vectors(self, texts: list[str]) -> Floats:
        """Vectors of texts, from the cache where they are there."""
        from tqdm import tqdm

        self._check()  # settings may have changed since fitting
        device = backbone.choose_device(self.device)
        precision = backbone.choose_precision(self.precision, device)
        names, where = distinct(texts)
        cache = None if self.cache is None else self._open(precision)
        try:
            known = {} if cache is None else cache.get(names)
            missing = [i for i in range(len(names)) if i not in known]
            out = np.empty((len(names), len(next(iter(known.values())))), dtype=np.float32) if known else None
            for i, vector in known.items():
                out[i] = vector  # type: ignore[index]
            with tqdm(total=len(names), initial=len(known), disable=not self.progress, unit="text") as bar:
                todo = [names[i] for i in missing]
                for rows, made in backbone.in_portions(
                    todo, self.batch_size, lambda t: self._embed(t, device, precision)
                ):
                    if not np.isfinite(made).all():
                        raise DataError(
                            f"the model {self.model!r} gave vectors that are not finite; try precision='float32'."
                        )
                    if out is None:
                        out = np.empty((len(names), made.shape[1]), dtype=np.float32)
                    out[[missing[r] for r in rows]] = made
                    if cache is not None:
                        cache.put([todo[r] for r in rows], made)
                    bar.update(len(rows))
        finally:
            if cache is not None:
                cache.close()
        assert out is not None
        return out[where]

    def _embed(self, texts: list[str], device: str, precision: str) -> Floats:
        wanted = (device, self.max_length)
        if self.__dict__.get("_loaded", (None, None))[0] != wanted:
            if not self.__dict__.get("_located"):
                self.folder_, self._located = backbone.unchanged(self.folder_, self.identity_), True
            self._loaded = wanted, backbone.load(self.folder_, device, self.max_length)
        return backbone.embed(
            self._loaded[1], texts, batch_size=self.batch_size, device=device, precision=precision, prompt=self.prompt,
            normalize=self.normalize,
        )  # fmt: skip

    def _open(self, precision: str) -> VectorCache:
        settings = {
            "model": self.model, "identity": self.identity_, "max_length": self.max_length, "prompt": self.prompt,
            "normalize": self.normalize, "precision": precision,
        }  # fmt: skip
        settings["model"] = settings["identity"] if str(self.identity_).startswith("files:") else settings["model"]
        return VectorCache(cache_folder(self.cache, "embeddings"), settings)

    def _finish(self, out: Any) -> Any:
        if not self.normalize or not (self._hashes or self.reduction_ is not None):
            return out  # a transformer's own vectors have this length already
        from sklearn.preprocessing import normalize

        return normalize(out)


class VectorCache:
    """Vectors made by one model with one set of settings; each set has a file of its own."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        described = json.dumps(settings, sort_keys=True)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(str(settings["model"])).name)[:40]
        digest = hashlib.blake2b(described.encode(), digest_size=12).hexdigest()
        self.store = Store(folder / f"{name}-{digest}.sqlite", _SCHEMA)
        self.store.write("INSERT OR IGNORE INTO about VALUES ('settings', ?)", [(described,)])

    def get(self, texts: Sequence[str]) -> dict[int, Floats]:
        """Vectors that are there. Gives position -> vector."""
        found: dict[int, Floats] = {}
        for start in range(0, len(texts), _AT_ONCE):
            keys = {key_of(text): start + i for i, text in enumerate(texts[start : start + _AT_ONCE])}
            marks = ",".join("?" * len(keys))
            for key, blob in self.store.read(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", list(keys)):
                found[keys[key]] = np.frombuffer(blob, dtype="<f4")
        if len({len(vector) for vector in found.values()}) > 1:
            raise CacheError(f"cache {self.store.path}: vectors differ in length; move the file away and call again.")
        return found

    def put(self, texts: Sequence[str], vectors: Floats) -> None:
        """Keep vectors; all of them or, when the disk is full, none. ``vectors`` (len(texts), d)."""
        rows = ((key_of(text), vector.astype("<f4").tobytes()) for text, vector in zip(texts, vectors))
        self.store.write("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()


def key_of(text: str) -> bytes:
    """Content hash of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()
