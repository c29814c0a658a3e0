"""Labels of models in a file."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .located import Lost, Marks, Passage
from .panel import Panel
from .result import Annotation, Cost
from .span_result import SpanAnnotation

_FORMAT = 1


def save(labels: Annotation | Panel, path: str | os.PathLike[str]) -> None:
    """Write labels, see :meth:`Annotation.save`."""
    target = Path(path)
    several = isinstance(labels, Panel)
    document = {"karat_panel": [_said(part) for part in labels.parts]} if several else _said(labels.parts[0])
    handle, part = tempfile.mkstemp(dir=target.resolve().parent, prefix=target.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, allow_nan=False, default=_json)
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str]) -> Annotation | Panel:
    """Read labels, see :meth:`Annotation.load`."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if "karat_panel" in document:
            return Panel(tuple(_read(part) for part in document["karat_panel"]))
        return _read(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{os.fspath(path)!r} holds no annotation that this version can read ({error}).") from error


def _said(labels: Annotation) -> dict[str, Any]:
    """Labels as plain values."""
    about = {name: getattr(labels, name) for name in ("name", "worker", "numeric", "several")}
    out = {
        "karat_annotation": _FORMAT,
        **about,
        "ids": labels.ids.tolist(),
        "classes": list(labels.classes),
        "probabilities": [None if np.isnan(p[0]) else p.tolist() for p in labels.probabilities],
        "mass": [None if np.isnan(m) else m for m in labels.mass.tolist()],
        "method": labels.method.tolist(),
        "status": labels.status.tolist(),
        "shown": labels.shown.tolist(),
        "provenance": dict(labels.provenance),
        "cost": asdict(labels.cost),
    }
    if isinstance(labels, SpanAnnotation):
        out |= {"lengths": labels.lengths.tolist(), "marks": [marks and _plain(marks) for marks in labels.marks]}
    return out


def _read(document: dict[str, Any]) -> Annotation:
    """Labels from plain values."""
    if document.pop("karat_annotation") != _FORMAT:
        raise KeyError("karat_annotation")
    width = len(document["classes"])
    nothing = [float("nan")] * width
    document["probabilities"] = np.array(
        [nothing if p is None else p for p in document["probabilities"]], dtype=np.float64
    ).reshape(-1, width)
    document["mass"] = np.array(document["mass"], dtype=np.float64)
    document["shown"] = np.array(document["shown"], dtype=bool)
    for key in ("method", "status"):
        document[key] = np.array(document[key], dtype=object)
    document |= {"ids": np.asarray(document["ids"]), "classes": tuple(document["classes"])}
    document["cost"] = Cost(**document["cost"])
    if "marks" not in document:
        return Annotation(**document)
    document["marks"] = tuple(given and _marks(given) for given in document["marks"])
    return SpanAnnotation(**{**document, "lengths": np.array(document["lengths"], dtype=np.intp)})


def _plain(marks: Marks) -> dict[str, Any]:
    sums = {name: getattr(marks, name).tolist() for name in ("p", "counts", "covered")}
    return {"passages": [asdict(one) for one in marks.passages], "lost": [asdict(one) for one in marks.lost], **sums}


def _marks(given: dict[str, Any]) -> Marks:
    sums = {name: np.array(given[name], dtype=np.float64) for name in ("p", "counts", "covered")}
    return Marks(
        tuple(Passage(**one) for one in given["passages"]), tuple(Lost(**one) for one in given["lost"]), **sums
    )


def _json(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
