"""Tables too large for memory, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, whole
from .table import Table


@dataclass(frozen=True)
class Batches:
    """A table too large for memory, read batch by batch from a parquet file.

    Give it as ``data`` to :func:`karat.ols`, :func:`karat.logit`, :func:`karat.probit` or :func:`karat.poisson` with
    ``learner=None``: the surrogate itself is the prediction. Only the columns of the fit are read, and no more than one
    batch and the gold rows are in memory. Estimates and covariance are those of the table in memory. The file is read
    six to eight times for least squares, half as often with ``compare=False``; for other models once more for each step
    of the solver.

    Gold may be a simple random or stratified sample, or drawn with one probability for all rows. Missing values are
    refused, and so are options that are about all rows at once, such as clusters and weights.

    Parameters
    ----------
    source : str, Path or pyarrow.dataset.Dataset
        A file that ends in ``.parquet``, or a data set of pyarrow. Its rows must not change between reads.
    rows : int
        Most rows of a batch.

    Raises
    ------
    ArgumentError
        If there is no such file, or pyarrow is not installed.

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
    rows: int = field(default=65_536, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", whole("rows", self.rows, least=1))
        assert self._dataset is not None  # errors come where the user writes the path

    @cached_property
    def _dataset(self) -> Any:
        try:
            import pyarrow.dataset as ds
        except ImportError:
            raise ArgumentError("reading batches needs pyarrow; install it with: pip install pyarrow") from None
        if isinstance(self.source, ds.Dataset):
            return self.source
        if not isinstance(self.source, (str, Path)) or not str(self.source).lower().endswith(".parquet"):
            raise ArgumentError(
                f"source={self.source!r} is not allowed; give the path of one file that ends in .parquet, or a "
                "pyarrow.dataset.Dataset."
            )
        if not Path(self.source).is_file():
            raise ArgumentError(f"there is no file {str(self.source)!r}.")
        try:
            return ds.dataset(str(self.source), format="parquet")
        except (OSError, ValueError) as error:
            raise ArgumentError(f"{str(self.source)!r} cannot be read as .parquet: {str(error).strip()}.") from None

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._dataset.schema.names)

    def tables(self, names: Sequence[str]) -> Iterator[tuple[slice, Table]]:
        """Some columns of all rows, batch by batch in the order of the file, with the positions of the rows."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        wanted, start = {name: ds.field(name) for name in names}, 0
        for batch in self._dataset.to_batches(
            columns=wanted, batch_size=self.rows, batch_readahead=1, fragment_readahead=1, use_threads=False
        ):
            if batch.num_rows:
                yield slice(start, start + batch.num_rows), Table.read(pa.Table.from_batches([batch]))
                start += batch.num_rows
