"""Tables too large for memory, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, whole
from .sources import ALLOWED, IN_MEMORY, Dask, Files, Lazy, Relation, Source, named, source_of, table_of
from .table import Table

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True)
class Batches:
    """A table too large for memory, read batch by batch.

    Regressions (:func:`karat.ols`, ...), :func:`karat.mean` and :func:`karat.shares` make one by themselves of a source
    with more than 10^6 rows that is given as ``data``, and read the columns they need of a smaller one into memory; all
    other functions read sources of at most 10^6 rows. Batches say that a table be read batch by batch however many rows
    it has. Only the columns of the fit are read, and no more than one batch and the gold rows are in memory.

    Parameters
    ----------
    source : str, Path, list of these, or object
        The path of a ``.parquet`` file, a pattern such as ``"corpus/*.parquet"`` or a folder (files in the order of
        their names), several of these; a pyarrow data set or table, a polars LazyFrame, a relation of duckdb, a Dask
        DataFrame. Files must have the same columns of the same types. Rows must come in the same order at each read.
    rows : int
        Most rows of a batch.

    Raises
    ------
    ArgumentError
        If there is no such file, or pyarrow is not installed.
    DataError
        If files do not have the same columns, types and categories.

    Notes
    -----
    Estimates and covariance are those of the table in memory. With a learner that holds where folds are a column
    (``folds="fold"``); folds that are dealt out follow from where a row stands, in memory from what all rows hold.
    With ``learner="auto"``, more than 20 ``features`` or more than 12 columns of surrogates are seen side by side,
    and not in blocks as in memory, so that numbers differ within their noise. A table is read six to eight times
    for least squares, half as often with ``compare=False``, once more with a learner; for other models once more
    for each step of the solver. What the first read finds (levels, gold rows) is kept for the next fit on the same
    unchanged files. Gold may be a simple random or stratified sample, or drawn with one probability for all rows;
    weights, clusters and designs told by columns (:class:`karat.Bernoulli`, :class:`karat.Unequal`,
    :class:`karat.Clustered`) keep one number of each column for each row in memory. A sample that karat drew is
    held against the positions of gold rows, so that these must be in the order they were drawn from. Rows in which a
    column of the formula, a weight or a cluster is missing are left out as in memory, at the price of two more reads
    and one byte for each row; missing surrogates, features and strata are refused. Fixed effects
    keep one number for each row and effect; those of :func:`karat.logit` and :func:`karat.poisson` one more, and a read
    for each step towards them. With ``text=`` predictions are kept, a few
    numbers for each row. Options that are about all rows at once are refused by name.

    Examples
    --------
    >>> import tempfile
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     labelled.to_parquet(f"{folder}/corpus.parquet")
    ...     fit = kt.ols("outcome ~ hostile + length", kt.Batches(f"{folder}/corpus.parquet", rows=500),
    ...                  surrogates={"hostile": "hostile_llm"}, learner=None)
    >>> fit.n_units, fit.n_gold
    (2000, 300)
    """

    source: Any
    rows: int = field(default=262_144, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", whole("rows", self.rows, least=1))
        assert self._opened is not None  # errors come where the user writes the path

    @cached_property
    def _opened(self) -> Source:
        given = self.source
        if isinstance(given, (Files, Lazy, Relation, Dask)):
            return given
        if hasattr(given, "column_names") and hasattr(given, "to_batches"):
            import pyarrow.dataset as ds

            given = ds.dataset(given)
        source = source_of(given)
        if source is None:
            raise ArgumentError(
                f"source is of the type {type(self.source).__name__}, which is no table in batches; give {ALLOWED}. A "
                "table in memory is given to the regression as it is."
            )
        return source

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._opened.names

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._opened.n_rows

    @property
    def key(self) -> Hashable:
        """What is another once the table is; None where that cannot be known."""
        return self._opened.key

    @property
    def roles(self) -> dict[str, list[str]]:
        """Columns of its own whose missing values leave rows out of a fit, by what is said of these."""
        return {}

    def tables(self, names: Sequence[str]) -> Iterator[tuple[slice, Table]]:
        """Some columns of all rows, batch by batch in the order of the source, with the positions of the rows."""
        import pyarrow as pa

        start = 0
        for batch in self._opened.batches(names, self.rows):
            yield slice(start, start + batch.num_rows), Table.read(pa.Table.from_batches([batch]))
            start += batch.num_rows


def in_memory_or_batches(data: object, words: object) -> object:
    """What a regression reads of a source: the named columns in memory, or, of many rows, batches; else the data.

    Parameters
    ----------
    data : object
    words : object
        Text, and what holds text, in which columns are named.

    Examples
    --------
    >>> in_memory_or_batches({"x": [1]}, "y ~ x")
    {'x': [1]}
    """
    source = source_of(data)
    if source is None:
        return data
    return Batches(source) if source.n_rows > IN_MEMORY else table_of(source, named(source.names, words))
