"""Tables that are not in memory: parquet files, data sets of Arrow, lazy frames, relations of databases."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Hashable

IN_MEMORY = 1_000_000
"""Rows up to which a source is simply read into memory."""

ALLOWED = (
    "the path of a .parquet file, a pattern such as 'corpus/*.parquet', a list of paths, a folder of parquet files, a "
    "pyarrow data set, a polars LazyFrame, a relation of duckdb or a Dask DataFrame"
)


class Source(Protocol):
    """A table that is read batch by batch, as often as it is needed, its rows in the same order each time."""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def key(self) -> Hashable:
        """What is another once the table is; None where that cannot be known."""

    def batches(self, names: Sequence[str], rows: int) -> Iterator[Any]:
        """Some columns as record batches of at most so many rows."""


def source_of(data: object) -> Source | None:
    """The source that something is, None where it is none.

    Parameters
    ----------
    data : object
        Paths, or an object of a library that has been imported.

    Raises
    ------
    ArgumentError
        If files are missing or cannot be read, or pyarrow is not installed.
    DataError
        If files have other columns, or of other types, than the first.

    Examples
    --------
    >>> source_of({"tone": [0.1]}) is None
    True
    """
    if isinstance(data, (str, Path)) or (
        isinstance(data, (list, tuple)) and len(data) and all(isinstance(item, (str, Path)) for item in data)
    ):
        return Files.of(data)
    if _is(data, "pyarrow.dataset", "Dataset"):
        return Files(data)
    for module, name, kind in (
        ("polars", "LazyFrame", Lazy), ("duckdb", "DuckDBPyRelation", Relation), ("dask.dataframe", "DataFrame", Dask),
    ):  # fmt: skip
        if _is(data, module, name):
            made: Source = kind(data)
            return made
    return None


def table_of(source: Source, names: Sequence[str]) -> Any:
    """Columns of a source as a table of Arrow.

    Raises
    ------
    DataError
        If it has no rows, or more than are read into memory.
    """
    import pyarrow as pa

    if source.n_rows > IN_MEMORY:
        raise DataError(
            f"data have {source.n_rows:,} rows, and a source of more than {IN_MEMORY:,} is not read into memory here. "
            "Read the columns you need yourself and give the data frame; regressions read more rows batch by batch."
        )
    found = list(source.batches(names, 1 << 16))
    if not found:
        raise DataError("data has no rows; give at least one unit.")
    return pa.Table.from_batches(found)


def named(columns: Sequence[str], words: object) -> list[str]:
    """Columns whose name stands as a word in some text, or in what holds text.

    Examples
    --------
    >>> named(["x", "year", "note"], ["y ~ x", {"y": ["year"]}])
    ['x', 'year']
    """
    every = "\n".join(set(_texts(words)))
    return [name for name in columns if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", every)]


def _texts(words: object) -> Iterator[str]:
    if isinstance(words, str):
        yield words
    elif isinstance(words, Mapping):
        for key, value in words.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(words, (list, tuple, set, frozenset)):
        for item in words:
            yield from _texts(item)
    elif is_dataclass(words) and not isinstance(words, type):
        yield from _texts(vars(words))


def _is(data: object, module: str, name: str) -> bool:
    """Whether something is of a class of a library; one that nobody imported has made no object."""
    library = sys.modules.get(module)
    kind = None if library is None else getattr(library, name, None)
    return isinstance(kind, type) and isinstance(data, kind)


@dataclass(frozen=True)
class Files:
    """Parquet files, or any data set of Arrow.

    Parameters
    ----------
    data : pyarrow.dataset.Dataset
    paths : tuple of Path
        Its files, where these were given.
    """

    data: Any = field(repr=False)
    paths: tuple[Path, ...] = ()

    @classmethod
    def of(cls, given: str | Path | Sequence[str | Path]) -> Files:
        """The files of a path, a pattern, a folder, or several; those of patterns and folders in the order of names."""
        try:
            import pyarrow.dataset as ds
        except ImportError:
            raise ArgumentError("reading parquet files needs pyarrow; install it with: pip install pyarrow") from None
        items = [given] if isinstance(given, (str, Path)) else list(given)
        paths = tuple(path for item in items for path in _paths(item))
        if len(set(paths)) < len(paths):
            raise ArgumentError(f"{str(next(p for p in paths if paths.count(p) > 1))!r} is given twice.")
        folder = str(items[0]) if len(items) == 1 and Path(items[0]).is_dir() else None
        for path in paths:
            try:
                ds.dataset(str(path), format="parquet")
            except (OSError, ValueError) as error:
                raise ArgumentError(f"{str(path)!r} cannot be read as .parquet: {str(error).strip()}.") from None
        more = {} if folder is None else {"partitioning": "hive", "partition_base_dir": folder}
        out = cls(ds.dataset([str(path) for path in paths], format="parquet", **more), paths)
        out._refuse_others()
        return out

    def _refuse_others(self) -> None:
        """Raise where a file has other columns than the first, or of other types."""
        first = None
        for fragment in self.data.get_fragments():
            schema = {one.name: one.type for one in fragment.physical_schema}
            first = first or (fragment.path, schema)
            if schema == first[1]:
                continue
            if odd := sorted(set(schema) ^ set(first[1])):
                has, lacks = (fragment.path, first[0]) if odd[0] in schema else (first[0], fragment.path)
                raise DataError(f"the file {has!r} has the column {odd[0]!r} and {lacks!r} has not; write them alike.")
            odd_one = next(name for name in schema if schema[name] != first[1][name])
            raise DataError(
                f"the column {odd_one!r} is {schema[odd_one]} in {fragment.path!r} and {first[1][odd_one]} in "
                f"{first[0]!r}; write all files with one type."
            )

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.data.schema.names)

    @cached_property
    def n_rows(self) -> int:
        """Number of rows, from the ends of the files."""
        return int(self.data.count_rows())

    @property
    def key(self) -> Hashable:
        """Paths, sizes and times of the last change."""
        files = self.paths or tuple(map(Path, getattr(self.data, "files", ())))
        try:
            return tuple((str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files) or None
        except OSError:
            return None

    def batches(self, names: Sequence[str], rows: int) -> Iterator[Any]:
        """Batches of the files in turn."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        scanner = self.data.scanner(
            columns={name: ds.field(name) for name in names}, batch_size=rows, batch_readahead=1, fragment_readahead=1,
            use_threads=False,
        )  # fmt: skip
        levels: dict[str, tuple[Any, Any]] = {}
        for tagged in scanner.scan_batches():
            batch, path = tagged.record_batch, getattr(tagged.fragment, "path", None)
            for name, column in zip(batch.schema.names, batch.columns):
                if not pa.types.is_dictionary(column.type):
                    continue
                before = levels.setdefault(name, (path, column.dictionary))
                if before[0] != path and not before[1].equals(column.dictionary):
                    raise DataError(
                        f"the categories of {name!r} are {column.dictionary.to_pylist()[:8]} in {path!r} and "
                        f"{before[1].to_pylist()[:8]} in {before[0]!r}; write all files with the same categories, or "
                        "as text."
                    )
            if batch.num_rows:
                yield batch


def _paths(item: str | Path) -> list[Path]:
    """Files of a path, of a pattern, or of a folder."""
    text = str(item)
    path = Path(text)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*.parquet") if p.is_file())
    elif any(mark in text for mark in "*?[") and not path.is_file():
        found = sorted(Path(p) for p in glob.glob(text, recursive=True) if p.lower().endswith(".parquet"))
    elif not text.lower().endswith(".parquet"):
        raise ArgumentError(f"{text!r} is not allowed; give a data frame, {ALLOWED}.")
    elif path.is_file():
        return [path]
    else:
        raise ArgumentError(f"there is no file {text!r}.")
    if not found:
        raise ArgumentError(f"there is no file that ends in .parquet in {text!r}.")
    return found


@dataclass(frozen=True)
class Lazy:
    """A LazyFrame of polars."""

    data: Any = field(repr=False)
    key: Hashable = None

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.data.collect_schema().names())

    @cached_property
    def n_rows(self) -> int:
        """Number of rows, counted."""
        import polars as pl

        return int(self.data.select(pl.len()).collect(engine="streaming").item())

    def batches(self, names: Sequence[str], rows: int) -> Iterator[Any]:
        """Batches as the streaming engine hands them out."""
        if not hasattr(self.data, "collect_batches"):
            raise ArgumentError("reading a LazyFrame batch by batch needs polars 1.34 or later; update it.")
        for part in self.data.select(list(names)).collect_batches(chunk_size=rows, maintain_order=True):
            for start in range(0, part.height, rows):
                yield from part.slice(start, rows).to_arrow().combine_chunks().to_batches()


class _Reading:
    """An open result of duckdb, which goes on from a file of its own once the connection is needed for another."""

    def __init__(self, reader: Any) -> None:
        self._schema, self._batches = reader.schema, iter(reader)
        self._file: Any = None

    def __iter__(self) -> Iterator[Any]:
        while (batch := next(self._batches, None)) is not None:
            yield batch

    def set_aside(self) -> None:
        """Write what was not read yet to a file that goes with this."""
        import tempfile

        import pyarrow as pa

        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is read on and closed later
        with pa.ipc.new_stream(self._file, self._schema) as out:
            for batch in self._batches:
                out.write_batch(batch)
        self._file.seek(0)
        self._batches = iter(pa.ipc.open_stream(self._file))

    def close(self) -> None:
        """Free the result, and the file if there is one."""
        self._batches = iter(())
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class Relation:
    """A relation of duckdb, whose connection holds one open result at a time."""

    data: Any = field(repr=False)
    key: Hashable = None
    _open: list[_Reading] = field(repr=False, compare=False, default_factory=list)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.data.columns)

    @cached_property
    def n_rows(self) -> int:
        """Number of rows, counted."""
        self._set_aside()
        return int(self.data.aggregate("count(*)").fetchall()[0][0])

    def batches(self, names: Sequence[str], rows: int) -> Iterator[Any]:
        """Batches of the result."""
        chosen = self.data.project(", ".join('"{}"'.format(name.replace('"', '""')) for name in names))
        read = getattr(chosen, "to_arrow_reader", None) or chosen.fetch_arrow_reader
        self._set_aside()
        reading = _Reading(read(rows))
        self._open.append(reading)
        try:
            yield from (batch for batch in reading if batch.num_rows)
        finally:
            reading.close()
            if reading in self._open:
                self._open.remove(reading)

    def _set_aside(self) -> None:
        """Free the connection of results that are read at the same time, batch by batch side by side."""
        while self._open:
            self._open.pop().set_aside()


@dataclass(frozen=True)
class Dask:
    """A DataFrame of Dask."""

    data: Any = field(repr=False)
    key: Hashable = None

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.data.columns]

    @cached_property
    def n_rows(self) -> int:
        """Number of rows, counted."""
        return len(self.data)

    def batches(self, names: Sequence[str], rows: int) -> Iterator[Any]:
        """Partitions in turn, cut into batches."""
        import pyarrow as pa

        chosen = self.data[list(names)]
        for k in range(chosen.npartitions):
            part = chosen.partitions[k].compute()
            for start in range(0, len(part), rows):
                piece = pa.Table.from_pandas(part.iloc[start : start + rows], preserve_index=False)
                yield from piece.combine_chunks().to_batches()
