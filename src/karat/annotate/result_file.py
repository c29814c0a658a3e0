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
from .result import Annotation, Cost

_FORMAT = 1


def save(labels: Annotation, path: str | os.PathLike[str]) -> None:
    """Write labels, see :meth:`Annotation.save`."""
    target = Path(path)
    about = {name: getattr(labels, name) for name in ("name", "worker", "numeric", "several")}
    document = {
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
    handle, part = tempfile.mkstemp(dir=target.resolve().parent, prefix=target.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, allow_nan=False, default=_json)
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str]) -> Annotation:
    """Read labels, see :meth:`Annotation.load`."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
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
        return Annotation(**document | {"cost": Cost(**document["cost"])})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{os.fspath(path)!r} holds no annotation that this version can read ({error}).") from error


def _json(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
