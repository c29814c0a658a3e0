"""Tables from files and into files, by their ending."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".parquet")


def read_file(path: str | Path) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.csv.gz``, ``.tsv``, ``.json`` (a list of records), ``.jsonl`` or ``.parquet``.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ArgumentError
        If there is no such file, its ending is not known, or it cannot be read.
    """
    import pandas as pd

    path = Path(path)
    kind = _ending(path)
    if not path.exists():
        raise ArgumentError(f"there is no file {str(path)!r}.")
    try:
        if kind in (".csv", ".csv.gz"):
            return pd.read_csv(path)
        if kind == ".tsv":
            return pd.read_csv(path, sep="\t")
        if kind == ".parquet":
            return pd.read_parquet(path)
        return pd.read_json(path, lines=kind == ".jsonl", convert_dates=False, dtype=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{str(path)!r} cannot be read as {kind}: {error}.") from None
    except ImportError:
        raise ArgumentError("parquet files need pyarrow; pip install pyarrow, or use CSV.") from None


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
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind in (".csv", ".csv.gz"):
        frame.to_csv(path, index=False)
    elif kind == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif kind == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=kind == ".jsonl", force_ascii=False)


def _ending(path: Path) -> str:
    found = [ending for ending in ENDINGS if path.name.lower().endswith(ending)]
    if not found:
        raise ArgumentError(f"{str(path)!r} has no ending that is known; use one of {', '.join(ENDINGS)}.")
    return max(found, key=len)
