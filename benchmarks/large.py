"""Corpora that are read batch by batch: memory, CPU for each time a file is read, and how both grow with N.

``python benchmarks/large.py --rows 100000 1000000 10000000 100000000 --most-learnt 10000000`` writes
``benchmarks/results/large.json`` and ``large.md``. Each fit is a process of its own. 10^8 rows take 2 GB of disk in
``--folder``. Files are written as pyarrow writes them where nothing is asked for: compressed by snappy, columns
encoded by dictionaries as long as these are small.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
FITS = {
    "a continuous covariate": ("y ~ length + year", None),
    "a continuous covariate, learner": ("y ~ length + year", "linear"),
    "three discrete covariates": ("y ~ year + party + side", None),
    "three discrete covariates, learner": ("y ~ year + party + side", "auto"),
}
_PIECE = 1_000_000


def write(path: Path, rows: int, gold: int) -> None:
    """A corpus of ten columns; the label is known of some rows, drawn at random.

    Rows are made once for a million, and come in another order in each further million: what is measured does not
    depend on it, and 10^8 rows are written in a minute or two.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer = np.random.default_rng(rows), None
    n = min(_PIECE, rows)
    length = rng.normal(size=n).astype(np.float32)
    year, party, side = (rng.integers(0, k, n).astype(np.int8) for k in (12, 5, 2))
    y = (rng.random(n) < 1 / (1 + np.exp(-0.5 * length - 0.3 * side + 0.05 * year))).astype(np.float32)
    piece = {
        "y_llm": np.where(rng.random(n) < 0.15, 1 - y, y).astype(np.int8),
        "length": length, "year": year, "party": party, "side": side,
        **{f"other{k}": rng.random(n, dtype=np.float32) for k in range(4)},
    }  # fmt: skip
    share, left = gold / rows, gold
    for start in range(0, rows, _PIECE):
        m = min(_PIECE, rows - start)
        known = min(left, round(m * share)) if start + m < rows else left
        drawn, left = rng.choice(m, known, replace=False), left - known
        missing = np.ones(m, dtype=bool)
        missing[drawn] = False
        shift = int(rng.integers(n))
        turned = {name: np.roll(values, shift)[:m] for name, values in piece.items()}
        table = pa.table({"y": pa.array(np.roll(y, shift)[:m], mask=missing), **turned})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=1 << 18)
    assert writer is not None
    writer.close()


def read_alone(path: Path, names: list[str]) -> float:
    """CPU seconds of reading columns, least of three."""
    import pyarrow.dataset as ds

    best = np.inf
    for _ in range(3):
        start = time.process_time()
        for _ in ds.dataset(path).to_batches(columns=names, batch_size=1 << 16, use_threads=False):
            pass
        best = min(best, time.process_time() - start)
    return best


def measure(path: Path, fit: str) -> dict[str, Any]:
    """One fit in this process."""
    import karat as kt
    from karat.frames.batches import Batches

    formula, learner = FITS[fit]
    columns = ["y", "y_llm", *formula.split("~")[1].replace("+", " ").split()]
    alone, passes, tables = read_alone(path, columns), [], Batches.tables

    def counted(self: Batches, names: Any) -> Iterator[Any]:
        passes.append(list(names))
        return tables(self, names)

    Batches.tables = counted  # type: ignore[method-assign]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        found = kt.logit(formula, kt.Batches(path), surrogates={"y": "y_llm"}, learner=learner, seed=1)
    spent = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "fit": fit, "rows": found.n_units, "gold": found.n_gold, "passes": len(passes), "read_alone_s": alone,
        "cpu_s": spent, "per_pass": spent / len(passes) / alone, "whole": spent / alone,
        "peak_mb": peak / 1024, "before_mb": before / 1024, "bytes_a_row": path.stat().st_size / found.n_units,
    }  # fmt: skip


def report(found: list[dict[str, Any]]) -> str:
    """A table of what was measured."""
    lines = [
        "# Corpora read batch by batch",
        "",
        f"Logit with {found[0]['gold']:,} gold rows on parquet files of ten columns (numbers of one or four bytes, "
        "as pyarrow writes them: snappy, dictionaries), `compare=True`, one process on one core. Read alone: pyarrow "
        "gives out the columns of the fit once, least of three. A pass: the CPU of the whole fit over the times it "
        "reads the file. Peak: most memory of the process, of which Python, karat and pyarrow take "
        f"{min(one['before_mb'] for one in found):.0f} MB before the fit.",
        "",
        "| fit | rows | fit, s CPU | times read | read alone, ns a row | a pass, ns a row | a pass / read | fit / read "
        "| peak, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['fit']} | {one['rows']:,} | {one['cpu_s']:.2f} | {one['passes']} | "
        f"{one['read_alone_s'] / one['rows'] * 1e9:.0f} | {one['cpu_s'] / one['passes'] / one['rows'] * 1e9:.0f} | "
        f"{one['per_pass']:.1f} | {one['whole']:.1f} | {one['peak_mb']:.0f} |"
        for one in found
    ]
    return "\n".join([*lines, "", "Made by `python benchmarks/large.py`.", ""])


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--gold", type=int, default=5_000)
    parser.add_argument("--most-learnt", type=int, default=10_000_000, help="most rows of fits with a learner")
    parser.add_argument("--folder", type=Path, help="where the files are written; taken away afterwards")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--fit", choices=list(FITS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fit:
        print(json.dumps(measure(options.file, options.fit)))
        return []
    found = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder) / "corpus.parquet"
            write(path, rows, options.gold)
            for fit, (_, learner) in FITS.items():
                if learner is not None and rows > options.most_learnt:
                    continue
                command = [sys.executable, __file__, "--fit", fit, "--file", str(path)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.append(json.loads(done.stdout))
                print(json.dumps(found[-1]), flush=True)
                (options.results / "large.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.results / "large.md").write_text(report(found))
    return found


if __name__ == "__main__":
    main()
