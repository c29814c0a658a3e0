"""Tables from files and into files, by their ending."""

from __future__ import annotations

import codecs
import gzip
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, KaratWarning, one_of, tell

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx")
SEPARATORS = (",", ";", "\t", "|")
"""Separators that are recognised; any other character can be named."""
_START = 1 << 16
"""Bytes at the start of a file, or characters of a text, in which its first line is looked for."""
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_ENCODINGS = ("utf-8", "cp1252", "latin-1")
"""Tried in turn where a file has no byte order mark; the last takes anything."""
_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written: what separates columns, its encoding, its decimal mark."""

    sep: str
    encoding: str
    decimal: str

    @property
    def plain(self) -> bool:
        """Whether it is what programs take for granted: commas, Unicode, decimal points."""
        return (self.sep, self.decimal) == (",", ".") and self.encoding.startswith("utf-8")

    def __str__(self) -> str:
        names = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
        encoding = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "utf-16": "UTF-16"}.get(self.encoding, self.encoding)
        mark = "decimal commas" if self.decimal == "," else "decimal points"
        return f"columns separated by {names.get(self.sep, repr(self.sep))}, {mark}, {encoding}"


def read_file(
    path: str | Path, *, sep: str | None = None, decimal: str | None = None, encoding: str | None = None
) -> pd.DataFrame:
    r"""Read a table.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.csv.gz``, ``.tsv``, ``.json`` (a list of records), ``.jsonl``, ``.parquet`` or ``.xlsx`` (its
        first sheet).
    sep : str, optional
        One character that separates columns of CSV files; by default the comma, semicolon, tab or bar that the first
        line holds most of.
    decimal : {".", ","}, optional
        Decimal mark of CSV files. By default a point, or a comma where columns are separated by something else and
        a column holds nothing but numbers written with a comma.
    encoding : str, optional
        Of CSV files, such as ``"cp1251"``; by default what the first bytes say, else UTF-8, else Western European.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ArgumentError
        If there is no such file, its ending is not known, or it cannot be read.

    Examples
    --------
    >>> import tempfile, warnings
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
    ...     file = Path(folder) / "corpus.csv"
    ...     _ = file.write_text("doc;score\na;1,5\nb;2,25\n")
    ...     read_file(file)["score"].tolist()
    [1.5, 2.25]
    """
    return read_said(path, sep=sep, decimal=decimal, encoding=encoding)[0]


def read_said(
    path: str | Path, *, sep: str | None = None, decimal: str | None = None, encoding: str | None = None
) -> tuple[pd.DataFrame, Dialect | None]:
    """The same, and how it was written if it is a CSV file."""
    import pandas as pd

    path = Path(path)
    kind = _ending(path)
    if not path.exists():
        raise ArgumentError(f"there is no file {str(path)!r}.")
    try:
        if kind in (".csv", ".csv.gz", ".tsv"):
            return _read_csv(path, "\t" if kind == ".tsv" and sep is None else sep, decimal, encoding)
        if sep is not None or decimal is not None or encoding is not None:
            raise ArgumentError(
                f"sep, decimal and encoding are about CSV files and have no effect on {str(path)!r}; remove them."
            )
        if kind == ".parquet":
            return pd.read_parquet(path), None
        if kind == ".xlsx":
            return _read_excel(path), None
        return pd.read_json(path, lines=kind == ".jsonl", convert_dates=False, dtype=False), None
    except ArgumentError:
        raise
    except (ValueError, EOFError, OSError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise ArgumentError(f"{str(path)!r} cannot be read as {kind}: {str(error).strip()}.") from None
    except ImportError:
        raise ArgumentError(_needs(kind)) from None


def _needs(kind: str) -> str:
    package = "openpyxl" if kind == ".xlsx" else "pyarrow"
    return f"{kind[1:]} files need {package}: pip install {package}. Or save the table as CSV."


def _read_excel(path: Path) -> pd.DataFrame:
    import pandas as pd

    with pd.ExcelFile(path, engine="openpyxl") as book:
        first, *others = book.sheet_names
        table: pd.DataFrame = pd.read_excel(book, sheet_name=first)
    if others:
        tell(f"{str(path)!r} has {len(others) + 1} sheets; the first one, {first!r}, was read.", KaratWarning)
    return table


def _read_csv(path: Path, sep: str | None, decimal: str | None, encoding: str | None) -> tuple[pd.DataFrame, Dialect]:
    """A CSV file in the encoding, and with the separators, that it turns out to have."""
    import pandas as pd

    if sep is not None and (not isinstance(sep, str) or len(sep) != 1 or sep.isalnum() or sep in "\r\n\"'.-+_ "):
        raise ArgumentError(f"sep={sep!r} is not allowed; give one character, such as ';', '|' or a tab.")
    if decimal is not None:
        one_of("decimal", decimal, (".", ","))
    with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as file:
        start = file.read(_START)
    tried = _encodings(start) if encoding is None else (_known(encoding),)
    for each in tried:
        found = separator_of(start.decode(each, "ignore")) if sep is None else sep
        try:
            table: pd.DataFrame = pd.read_csv(path, sep=found, encoding=each, decimal=decimal or ".")
            break
        except UnicodeDecodeError:
            if each == tried[-1]:
                raise
    if encoding is None and each in _ENCODINGS[1:]:
        tell(
            f"{str(path)!r} is not Unicode; it was read as Western European text ({each}). Check its letters; else "
            "name its encoding (encoding=, shell: --encoding) or save it as UTF-8.",
            KaratWarning,
        )
    commas = [] if found == "," or decimal is not None else _with_decimal_commas(table)
    if not commas:
        return table, Dialect(found, each, decimal or ".")
    again: pd.DataFrame = pd.read_csv(path, sep=found, encoding=each, decimal=",")
    mixed = [name for name in table if table[name].dtype.kind == "f" and again[name].dtype.kind not in "fi"]
    if mixed:
        raise ArgumentError(
            f"{str(path)!r} holds numbers with a decimal comma (column {commas[0]!r}) and with a decimal point (column "
            f"{mixed[0]!r}); write all alike, or say which it is with decimal=',' or decimal='.' (shell: --decimal)."
        )
    tell(
        f"{str(path)!r} was read with decimal commas (column {commas[0]!r}); decimal='.' (shell: --decimal point) "
        "reads it without.",
        KaratWarning,
    )
    return again, Dialect(found, each, ",")


def raw_cells(path: str | Path, dialect: Dialect, columns: list[str] | None = None) -> pd.DataFrame:
    """The cells of a CSV file as they are written, all of them texts; of some columns, or of all."""
    import pandas as pd

    cells: pd.DataFrame = pd.read_csv(
        path, sep=dialect.sep, encoding=dialect.encoding, dtype=str, keep_default_na=False, na_filter=False,
        usecols=columns,
    )  # fmt: skip
    return cells


def _encodings(start: bytes) -> tuple[str, ...]:
    """Encodings that a file may have, by its first bytes."""
    marked = tuple(encoding for mark, encoding in _MARKS.items() if start.startswith(mark))
    if not marked and start.count(0) > len(start) // 4:  # UTF-16 without a mark: half of Western text is zeros
        return ("utf-16-le",) if start[1::2].count(0) > start[::2].count(0) else ("utf-16-be",)
    return marked or _ENCODINGS


def _known(encoding: object) -> str:
    try:
        return codecs.lookup(str(encoding)).name
    except LookupError:
        raise ArgumentError(
            f"encoding={encoding!r} is not known; give a name such as 'utf-8', 'cp1252', 'cp1251' or 'shift_jis'."
        ) from None


def _with_decimal_commas(table: pd.DataFrame) -> list[str]:
    """Columns that hold nothing but numbers, some of them with a comma that cannot be between thousands."""
    found = []
    for name in table.columns:
        if table[name].dtype.kind in "biufcM":
            continue
        texts = table[name].dropna().astype(str).str.strip()
        if texts.map(lambda t: bool(_COMMA.fullmatch(t))).all() and any(
            "," in text and not _THOUSANDS.fullmatch(text) for text in texts
        ):
            found.append(str(name))
    return found


def decoded(raw: bytes) -> str:
    """The text of a file in the encoding its first bytes name, else Unicode, else Western European.

    Parameters
    ----------
    raw : bytes

    Raises
    ------
    UnicodeDecodeError
        If its byte order mark names an encoding that it is not in.

    Examples
    --------
    >>> decoded("für".encode("utf-16")), decoded("für".encode("cp1252"))
    ('für', 'für')
    """
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            return raw.decode(encoding)
    for encoding in _ENCODINGS[:-1]:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode(_ENCODINGS[-1])


def separator_of(text: str) -> str:
    """What separates the columns of a CSV text: what its first line holds most of, outside quotation marks.

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> separator_of('document;"a, b, c";text')
    ';'
    """
    unquoted = re.sub(r'"(?:[^"]|"")*("|$)', "", text[:_START].lstrip("\r\n\ufeff"))
    line = re.split(r"[\r\n]", unquoted, maxsplit=1)[0]
    return max(SEPARATORS, key=line.count)


def write_file(frame: Any, path: str | Path) -> None:
    """Write a pandas table.

    Parameters
    ----------
    frame : pandas.DataFrame
    path : str or Path
        Endings as for :func:`read_file`.
    """
    path = Path(path)
    kind = _ending(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(frame, path, kind)
    except OSError as error:
        raise ArgumentError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from None
    except ImportError:
        raise ArgumentError(_needs(kind)) from None


def _write(frame: Any, path: Path, kind: str) -> None:
    if kind in (".csv", ".csv.gz"):
        frame.to_csv(path, index=False)
    elif kind == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif kind == ".parquet":
        frame.to_parquet(path, index=False)
    elif kind == ".xlsx":
        frame.to_excel(path, index=False, engine="openpyxl")
    else:
        frame.to_json(path, orient="records", lines=kind == ".jsonl", force_ascii=False)


def _ending(path: Path) -> str:
    found = [ending for ending in ENDINGS if path.name.lower().endswith(ending)]
    if not found:
        raise ArgumentError(f"{str(path)!r} has no ending that is known; use one of {', '.join(ENDINGS)}.")
    return max(found, key=len)
