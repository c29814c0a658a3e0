"""A drawn sample as a JSON file, and back: months pass between drawing and fitting."""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..errors import ArgumentError, DataError, DesignError
from .base import Design, Drawn
from .clustered import Clustered
from .frame import FrameRecord
from .labelling import Labelling
from .probability import Bernoulli, SimpleRandom, Stratified
from .sample import Sample
from .sequential import SequentialLabelling, Wave
from .unequal import Unequal
from .waves import Waves

FORMAT = "karat sample"
VERSION = 1
_DESIGNS = {c.__name__: c for c in (Bernoulli, SimpleRandom, Stratified, Clustered, Unequal, Waves)}


def save_sample(sample: Sample, path: str | Path) -> None:
    """Write a sample, see :meth:`karat.designs.Sample.save`."""
    frame = sample.design.frame
    text = {
        "format": FORMAT,
        "version": VERSION,
        "karat": __version__,
        "description": sample.labelling.description,
        "n": sample.labelling.n_gold,
        "N": len(sample.labelling.labelled),
        "seed": sample.seed,
        "sent": sample.sent,
        "frame_hash": None if frame is None else frame.hash,
        "design": _design(sample.design.base),
        "labelling": _labelling(sample.labelling),
        "frame": None
        if frame is None
        else {
            "n_rows": frame.n_rows,
            "columns": frame.columns,
            "id": frame.id,
            "keys": _array(frame.keys),
            "origin": frame.origin,
        },
    }
    Path(path).write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def read_sample(path: str | Path) -> Sample:
    """Read a sample that was saved.

    Parameters
    ----------
    path : str or Path
        Written by :meth:`karat.designs.Sample.save`.

    Returns
    -------
    Sample

    Raises
    ------
    DataError
        If the file is missing, or is no sample.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import karat as kt
    >>> sample = kt.SimpleRandom(n=2).draw({"document": [1, 2, 3, 4]}, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sample.save(pathlib.Path(folder) / "sample.json")
    ...     back = kt.read_sample(pathlib.Path(folder) / "sample.json")
    >>> bool((back.positions == sample.positions).all())
    True
    """
    try:
        text = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"the sample file {str(path)!r} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise DataError(f"{str(path)!r} is not a sample that karat saved: it is no JSON.") from None
    if not isinstance(text, dict) or text.get("format") != FORMAT:
        raise DataError(f"{str(path)!r} is not a sample that karat saved; write one with sample.save(path).")
    if text["version"] > VERSION:
        raise DataError(f"{str(path)!r} was saved by a later karat ({text['karat']}); update karat to read it.")
    try:
        labelling = _read_labelling(text["labelling"])
        frame = text["frame"]
        record = None
        if frame is not None:
            record = FrameRecord(
                frame["n_rows"], frame["columns"], frame["id"], _read_array(frame["keys"]), frame["origin"]
            )
            if record.hash != text["frame_hash"]:
                raise DataError(f"{str(path)!r} has been edited: its frame hash does not fit; draw or save it anew.")
        return Sample(labelling, Drawn(_read_design(text["design"]), labelling, record), text["seed"], text["sent"])
    except (KeyError, TypeError, zlib.error) as error:
        raise DataError(f"{str(path)!r} is a damaged sample file ({error!r}); draw or save it anew.") from None


def _design(design: Design) -> dict[str, Any]:
    name = type(design).__name__
    if _DESIGNS.get(name) is not type(design):
        raise DesignError(f"a sample of the design {name} cannot be saved; only {', '.join(_DESIGNS)} can.")
    values = {f.name: getattr(design, f.name) for f in dataclasses.fields(design)}
    return {"name": name, "arguments": {key: _value(value) for key, value in values.items()}}


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {"mapping": [[_value(k), _value(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)) and any(isinstance(v, Design) for v in value):
        return {"designs": [_design(v) for v in value]}
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, float, int)) for v in value):
        return {"sequence": [_value(v) for v in value]}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    array = np.asarray(value)
    if array.dtype == object:
        raise ArgumentError(f"a design that holds {type(value).__name__} cannot be saved; use a column name instead.")
    return {"array": _array(array)}


def _read_design(text: dict[str, Any]) -> Design:
    kind: Any = _DESIGNS[text["name"]]
    return kind(**{key: _read_value(value) for key, value in text["arguments"].items()})


def _read_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "mapping" in value:
        return {_read_value(k): _read_value(v) for k, v in value["mapping"]}
    if "designs" in value:
        return tuple(_read_design(v) for v in value["designs"])
    if "sequence" in value:
        return tuple(value["sequence"])
    return _read_array(value["array"])


def _labelling(labelling: Labelling) -> dict[str, Any]:
    if isinstance(labelling, SequentialLabelling):
        return {
            "waves": [
                {"rows": _array(w.rows), "labelling": _labelling(w.labelling), "share": w.share}
                for w in labelling.waves
            ]
        }
    out: dict[str, Any] = {f.name: getattr(labelling, f.name) for f in dataclasses.fields(labelling)}
    return out | {name: _array(out[name]) for name in ("probability", "labelled", "stratum", "unit")}


def _read_labelling(text: dict[str, Any]) -> Labelling:
    if "waves" in text:
        return SequentialLabelling.of(
            tuple(
                Wave(_read_array(w["rows"]).astype(bool), _read_labelling(w["labelling"]), w["share"])
                for w in text["waves"]
            )
        )
    names = ("probability", "labelled", "stratum", "unit")
    return Labelling(**{**text, **{name: _read_array(text[name]) for name in names}})


def _array(values: Any) -> dict[str, Any] | None:
    if values is None:
        return None
    array = np.asarray(values)
    array = array.astype(array.dtype.newbyteorder("<"))
    packed = base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()
    return {"dtype": array.dtype.str, "zlib_base64": packed}


def _read_array(text: dict[str, Any] | None) -> Any:
    if text is None:
        return None
    raw = zlib.decompress(base64.b64decode(text["zlib_base64"]))
    array = np.frombuffer(raw, dtype=text["dtype"])
    return array.astype(array.dtype.newbyteorder("="))
