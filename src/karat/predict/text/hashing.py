"""An encoder that needs no download: hashed word and character n-grams, weighted and compressed."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ...errors import ArgumentError, DataError
from .texts import OfTexts, read_texts


@dataclass(eq=False, repr=False)
class HashingEncoder(OfTexts, TransformerMixin, BaseEstimator):
    """Latent semantic analysis of hashed n-grams of words and characters.

    Parameters
    ----------
    n_components : int or None, default 100
        Dimensions; None leaves the sparse n-gram weights as they are (for linear learners, not for ``features=``).
    words : (int, int) or None, default (1, 2)
        Shortest and longest n-gram of words.
    characters : (int, int) or None, default (3, 5)
        Shortest and longest n-gram of characters within words; catches spelling, endings and languages
        without spaces.
    n_hashes : int, default 2**18
        Columns into which n-grams of each kind are hashed.
    max_features : int, default 30000
        Hashed n-grams used: those in most texts. N-grams of a single text are left out.
    lowercase : bool, default True
    random_state : int or None, default 0
        Seed of the randomised decomposition.

    Attributes
    ----------
    n_components_ : int
        Dimensions; fewer than asked where there are fewer texts.

    Raises
    ------
    ArgumentError
        If a setting is not allowed.

    Notes
    -----
    It learns word weights and directions from texts alone and never sees a label, so fitting it on all texts
    leaves cross-fitting whole.

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer and Harshman (1990), Indexing by latent semantic analysis; Weinberger,
    Dasgupta, Langford, Smola and Attenberg (2009), Feature hashing for large scale multitask learning; Halko,
    Martinsson and Tropp (2011), Finding structure with randomness.

    Examples
    --------
    >>> from karat.predict import HashingEncoder
    >>> HashingEncoder(n_components=2).fit_transform(["trams are fine", "trams are late", "we like trees"]).shape
    (3, 2)
    """

    n_components: int | None = 100
    _: KW_ONLY
    words: tuple[int, int] | None = (1, 2)
    characters: tuple[int, int] | None = (3, 5)
    n_hashes: int = 2**18
    max_features: int = 30_000
    lowercase: bool = True
    random_state: int | None = 0

    def fit(self, X: object, y: object = None) -> HashingEncoder:
        """Learn n-gram weights and directions.

        Parameters
        ----------
        X : sequence of str, length N
        y : ignored

        Returns
        -------
        HashingEncoder
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: object, y: object = None) -> Any:
        """Fit and encode.

        Parameters
        ----------
        X : sequence of str, length N
        y : ignored

        Returns
        -------
        ndarray, shape (N, k), or sparse matrix

        Raises
        ------
        ArgumentError, DataError
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer

        self._check()
        counts = self._counts(read_texts(X))
        if not counts.nnz:
            raise DataError("X holds no word in any text, so there is nothing to encode; are all texts empty?")
        self.kept_ = _frequent(counts, self.max_features)
        counts = counts[:, self.kept_]
        self.weights_ = TfidfTransformer(sublinear_tf=True).fit(counts)
        weighted = self.weights_.transform(counts)
        if self.n_components is None:
            self.svd_, self.n_components_ = None, counts.shape[1]
            return weighted
        self.n_components_ = min(self.n_components, counts.shape[0], counts.shape[1])
        self.svd_ = TruncatedSVD(self.n_components_, random_state=self.random_state)
        with np.errstate(invalid="ignore"):  # its share of the variance, of texts that are all alike
            return self.svd_.fit_transform(weighted)

    def transform(self, X: object) -> Any:
        """Encode texts.

        Parameters
        ----------
        X : sequence of str, length N

        Returns
        -------
        ndarray, shape (N, k), or sparse matrix
        """
        check_is_fitted(self, "weights_")
        weighted = self.weights_.transform(self._counts(read_texts(X))[:, self.kept_])
        return weighted if self.svd_ is None else self.svd_.transform(weighted)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the dimensions.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self, "weights_")
        return np.asarray([f"hashing{j}" for j in range(self.n_components_)], dtype=object)

    def _counts(self, texts: list[str]) -> Any:
        from scipy import sparse
        from sklearn.feature_extraction.text import HashingVectorizer

        blocks = [
            HashingVectorizer(
                n_features=self.n_hashes, analyzer=analyzer, ngram_range=span, alternate_sign=False, norm=None,
                lowercase=self.lowercase, token_pattern=r"(?u)\b\w+\b",
            ).transform(texts)
            for analyzer, span in (("word", self.words), ("char_wb", self.characters))
            if span is not None
        ]  # fmt: skip
        return blocks[0] if len(blocks) == 1 else sparse.hstack(blocks, format="csr")

    def _check(self) -> None:
        if self.words is None and self.characters is None:
            raise ArgumentError("words and characters are both None; give a span of n-grams for one, such as (1, 2).")
        for name, span in (("words", self.words), ("characters", self.characters)):
            if span is not None and not (isinstance(span, tuple) and len(span) == 2 and 1 <= span[0] <= span[1]):
                raise ArgumentError(
                    f"{name}={span!r} is not allowed; give (shortest, longest), such as (1, 2), or None."
                )
        for name, value in (
            ("n_components", self.n_components),
            ("n_hashes", self.n_hashes),
            ("max_features", self.max_features),
        ):
            count = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
            if not count and (value is not None or name != "n_components"):
                raise ArgumentError(f"{name}={value!r} is not allowed; give a whole number of at least 1.")


def _frequent(counts: Any, most: int) -> np.ndarray:
    """Columns in at least two texts, at most ``most`` of them; those that occur at all where there are none."""
    texts = np.bincount(counts.indices, minlength=counts.shape[1])
    kept = np.flatnonzero(texts >= 2)
    if not len(kept):
        kept = np.flatnonzero(texts)
    if not len(kept):
        return np.zeros(1, dtype=np.intp)
    return np.sort(kept[np.argsort(-texts[kept], kind="stable")[:most]])
