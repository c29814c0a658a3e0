"""JSON files that are kept for months and must come back as they were written, above all a drawn sample."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..errors import ArgumentError, DataError, DesignError
from .base import Design, Drawn, Sample
from .clustered import Clustered
from .frame import FrameRecord
from .labelling import Labelling
from .probability import Bernoulli, SimpleRandom, Stratified
from .sequential import SequentialLabelling, Wave
from .split import DevelopmentPart
from .unequal import Unequal
from .waves import Waves

FORMAT = "karat sample"
VERSION = 3
"""Of files that earlier releases must not read, those of development parts; other samples are of version 2."""
_AGAIN = "write one with sample.save(path), or draw anew"
_MOST_BYTES = 2**30
"""Of a file, and of an array in it: larger ones are refused before they are read or unpacked."""
_DESIGNS = {c.__name__: c for c in (Bernoulli, SimpleRandom, Stratified, Clustered, Unequal, Waves)}


def save_sample(sample: Sample, path: str | Path) -> None:
    """Write a sample, see :meth:`karat.designs.Sample.save`."""
    try:
        content = sample_content(sample)
        version = VERSION if content["development"] else VERSION - 1
        path_of("path", path).write_text(sealed(FORMAT, version, content), encoding="utf-8")
    except OSError as error:
        raise DataError(f"the sample cannot be written to {str(path)!r}: {error.strerror}.") from None


def sample_content(sample: Sample) -> dict[str, Any]:
    """A sample as plain values."""
    frame = sample.design.frame
    return {
        "description": sample.labelling.description, "n": sample.labelling.n_gold, "N": len(sample.labelling.labelled),
        "seed": sample.seed, "sent": sample.sent, "frame_hash": None if frame is None else frame.hash,
        "design": _design(sample.design.base), "labelling": _labelling(sample.labelling),
        "frame": None if frame is None else {**vars(frame), "keys": _array(frame.keys)},
        "development": isinstance(sample.design, DevelopmentPart),
    }  # fmt: skip


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
        If the file is missing, is not a sample, or was edited or damaged since.

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
    return sample_of(read_sealed(path, FORMAT, VERSION, _AGAIN), repr(str(path)))


def sample_of(text: dict[str, Any], name: str) -> Sample:
    """A sample from plain values; ``name``: of the file, for messages."""
    try:
        labelling = _checked(_read_labelling(text["labelling"]), text["N"])
        frame = text["frame"]
        record = None
        if frame is not None:
            record = FrameRecord(
                frame["n_rows"], frame["columns"], frame["id"], _read_array(frame["keys"]), frame["origin"]
            )
            if record.hash != text["frame_hash"]:
                raise DataError("it has been edited: the frame hash does not fit the frame")
            if record.n_rows != text["N"]:
                raise DataError(f"its frame has {record.n_rows} rows, its draw {text['N']}")
        earlier = labelling.description.startswith("development part, ")  # files that did not say so otherwise
        kind = DevelopmentPart if text.get("development", earlier) else Drawn
        return Sample(labelling, kind(_read_design(text["design"]), labelling, record), text["seed"], text["sent"])
    except (KeyError, TypeError, AttributeError, ValueError, zlib.error) as error:
        raise DataError(f"{name} is a damaged sample file ({error}); {_AGAIN}.") from None


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
        parts = labelling.waves
        return {"waves": [{**vars(w), "rows": _array(w.rows), "labelling": _labelling(w.labelling)} for w in parts]}
    out: dict[str, Any] = {f.name: getattr(labelling, f.name) for f in dataclasses.fields(labelling)}
    return out | {name: _array(out[name]) for name in ("probability", "labelled", "stratum", "unit")}


def _read_labelling(text: dict[str, Any]) -> Labelling:
    if "waves" in text:
        read = [
            (_read_array(w["rows"]).astype(bool), _read_labelling(w["labelling"]), w["share"]) for w in text["waves"]
        ]
        return SequentialLabelling.of(tuple(Wave(*part) for part in read))
    names = ("probability", "labelled", "stratum", "unit")
    return Labelling(**{**text, **{name: _read_array(text[name]) for name in names}})


def _checked(labelling: Labelling, n_rows: int) -> Labelling:
    """A draw as read, each of its waves checked for what every draw has."""
    arrays = (labelling.probability, labelling.labelled, labelling.stratum, labelling.unit)
    if any(array is not None and array.shape != (n_rows,) for array in arrays):
        raise DataError(f"its arrays do not have one value for each of {n_rows} rows")
    if labelling.labelled.dtype != bool or not labelling.labelled.any():
        raise DataError("it does not say which rows were drawn")
    if not ((labelling.probability > 0) & (labelling.probability <= 1)).all():
        raise DataError("it holds inclusion probabilities that are not above 0 and at most 1")
    if isinstance(labelling, SequentialLabelling):
        for wave in labelling.waves:
            _checked(wave.labelling, int(wave.rows.sum()))
    return labelling


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
    kind = np.dtype(text["dtype"])
    if kind.kind not in "biuf":
        raise DataError(f"it holds an array of {kind}")
    raw = zlib.decompressobj().decompress(base64.b64decode(text["zlib_base64"], validate=True), _MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise DataError(f"it holds an array of more than {_MOST_BYTES // 2**20} MiB")
    array = np.frombuffer(raw, dtype=kind)
    return array.astype(array.dtype.newbyteorder("="))


def path_of(argument: str, given: object) -> Path:
    """A path from the user, checked."""
    if not isinstance(given, (str, os.PathLike)):
        raise ArgumentError(f"{argument}={given!r} is not allowed; give a path.")
    return Path(given)


def sealed(format: str, version: int, content: dict[str, Any]) -> str:
    """The text of a file, with its format, version and checksum. ``content``: what JSON can hold."""
    whole = {"format": format, "version": version, "karat": __version__, **content}
    return json.dumps({**whole, "checksum": _checksum(whole)}, indent=1, ensure_ascii=False) + "\n"


def read_sealed(path: str | Path, format: str, version: int, again: str) -> dict[str, Any]:
    """Read a file that :func:`sealed` wrote, up to a version, and check that it is whole and unchanged.

    Files of version 1 have no checksum; ``again`` says how to get a good one.
    """
    path = path_of("path", path)
    name = repr(str(path))
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{name} is larger than {_MOST_BYTES // 2**20} MiB, so it is not a {format}; {again}.")
        text = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"the file {name} cannot be read: {error.strerror}.") from None
    except DataError:
        raise
    except (ValueError, RecursionError):
        raise DataError(f"{name} is not a {format}: it is not JSON; {again}.") from None
    if not isinstance(text, dict) or text.get("format") != format:
        raise DataError(f"{name} is not a {format}; {again}.")
    found = text.get("version")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise DataError(f"{name} names version {found!r} of its format, which is not a version; {again}.")
    if found > version:
        raise DataError(
            f"{name} was written by a later karat ({text.get('karat', 'unknown')}: version {found} of the format, this "
            f"one reads up to {version}); update karat to read it."
        )
    checksum = text.pop("checksum", None)
    if found > 1 and checksum != _checksum(text):
        raise DataError(f"{name} has been edited or damaged since karat wrote it (its checksum differs); {again}.")
    return text


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
