"""An archive of a study: what another person needs to verify it, and to replay it without paying."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.store import cache_folder
from .._version import __version__
from ..designs.store import path_of, read_sealed, sealed
from ..errors import ArgumentError, DataError, KaratError
from ..frames import Table
from .answer_store import AnswerStore
from .local import LocalModel
from .one_text import RowAsker
from .requests import Asker
from .result_file import load
from .study import Study
from .study_file import FORMAT as STUDY
from .study_file import VERSION as STUDY_VERSION
from .study_file import save, study_of

if TYPE_CHECKING:
    from .._core.types import Ints
    from .panel import Panel
    from .result import Annotation

FORMAT, VERSION = "karat archive", 2  # 1 would be a file without a checksum
_MOST_BYTES = 2**32
_AGAIN = "write one with study.archive(path, ...)"


@dataclass(frozen=True)
class Verification:
    """What became of an archive that was held against itself, and against data where they were given.

    Parameters
    ----------
    differences : tuple of str
        What is not as the archive says; empty where all is well.
    checked : tuple of str
        What was checked.
    notes : tuple of str
        What differs and need not matter, such as versions.
    digest : str
        Digest of the whole archive, to be printed beside it.

    Examples
    --------
    >>> print(kt.annotate.verify("study.zip", letters, text="text"))  # doctest: +SKIP
    """

    differences: tuple[str, ...]
    checked: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def __str__(self) -> str:
        lines = [f"archive {self.digest}: {'verified' if self.ok else f'{len(self.differences)} differences'}"]
        lines += [f"  differs: {line}" for line in self.differences]
        lines += [f"  checked: {line}" for line in self.checked]
        return "\n".join([*lines, *(f"  note: {line}" for line in self.notes)])


def write(
    study: Study, path: Any, labels: Annotation | Panel, data: object, *, text: str, fits: Mapping[str, Any]
) -> Path:
    """Write an archive, see :meth:`Study.archive`."""
    target = path_of("path", path)
    if target.exists():
        raise ArgumentError(f"path={str(target)!r} is there already; an archive is written once, name another place.")
    if odd := [name for name in fits if not re.fullmatch(r"[\w-]+", str(name))]:
        raise ArgumentError(f"fits names {odd[0]!r}; use letters, digits, - and _.")
    if unfit := [name for name, fit in fits.items() if not hasattr(fit, "to_json")]:
        kind = type(fits[unfit[0]]).__name__
        raise ArgumentError(
            f"fits holds a {kind} under {unfit[0]!r}, which goes into no file; give regressions or means."
        )
    texts, table = _texts(data, labels, text)
    replies = _collected(study, labels, texts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".karat-") as folder:
        root = Path(folder) / "archive"
        (root / "fits").mkdir(parents=True)
        save(study, root / "study.json")
        labels.save(root / "labels.json")
        lines = "".join(json.dumps(record) + "\n" for record in replies)
        (root / "replies.jsonl").write_text(lines, encoding="utf-8")
        for name, fit in fits.items():
            (root / "fits" / f"{name}.json").write_text(fit.to_json(), encoding="utf-8")
        files = {str(p.relative_to(root)): _digest(p.read_bytes()) for p in sorted(root.rglob("*.json*"))}
        content = {**_about(study, table), "files": files}
        (root / "manifest.json").write_text(sealed(FORMAT, VERSION, content), encoding="utf-8")
        if target.suffix.lower() == ".zip":
            _zip(root, Path(folder) / "archive.zip")
            os.replace(Path(folder) / "archive.zip", target)
        else:
            shutil.move(root, target)
    return target


def verify(
    path: str | os.PathLike[str], data: object = None, *, text: str | None = None, fits: Any = None
) -> Verification:
    """Hold an archive against itself and, where the data are at hand, against them; nothing is asked or paid.

    Parameters
    ----------
    path : str or Path
        Written by :meth:`Study.archive`.
    data : data frame, optional
        The corpus: its texts and its frame are held against the archive, and every label is read again from the
        replies that were kept.
    text : str, optional
        Column of texts; needed with data.
    fits : mapping of str to Result, optional
        Made anew, to be held against those in the archive of the same name.

    Returns
    -------
    Verification
        Whose ``differences`` say what is not as the archive says.

    Raises
    ------
    DataError
        If it is not an archive, or its manifest was edited.

    Notes
    -----
    Whoever edits a file and the manifest with it makes another archive, with another ``digest``: print the digest in
    the paper, and the hash of the protocol in the preregistration.

    Examples
    --------
    >>> kt.annotate.verify("study.zip", letters, text="text").ok  # doctest: +SKIP
    True
    """
    with tempfile.TemporaryDirectory(prefix="karat-") as folder:
        root = _unpacked(path_of("path", path), Path(folder))
        manifest = read_sealed(root / "manifest.json", FORMAT, VERSION, _AGAIN)
        digest = _digest((root / "manifest.json").read_bytes())
        differ, checked = _files(root, manifest["files"]), [f"{len(manifest['files'])} files by their digests"]
        try:
            study = study_of(read_sealed(root / "study.json", STUDY, STUDY_VERSION, _AGAIN), "study.json", None)
            labels = load(root / "labels.json")
            differ += _inside(study, labels, manifest)
            checked.append("protocol, labels and draws against each other")
            if data is not None:
                if text is None:
                    raise ArgumentError("text= is not given; name the column of texts in data.")
                found, done = _against(study, labels, root, data, text)
                differ, checked = differ + found, checked + done
        except ArgumentError:
            raise
        except KaratError as error:
            differ.append(str(error))
        for name, fit in (fits or {}).items():
            differ += _refit(root / "fits" / f"{name}.json", str(name), fit)
            checked.append(f"the fit {name!r}")
        now = _versions()
        notes = [f"{k} is {now[k]}, was {v}" for k, v in manifest["versions"].items() if now.get(k) != v]
        return Verification(tuple(differ), tuple(checked), tuple(notes), digest)


def _about(study: Study, table: Table) -> dict[str, Any]:
    assert study.protocol is not None
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "protocol": study.protocol.hash,
        "codebook": _books(study),
        "frame": {"rows": table.n_rows, "hash": study.sample.frame_hash},
        "draws": {
            "sample": _digest(_packed(study.sample.positions)),
            "development": _digest(_packed(study.development.positions)),
        },
        "versions": _versions(),
    }


def _books(study: Study) -> str:
    return " ".join(book.digest for book in study.books)


def _texts(data: object, labels: Annotation | Panel, text: str) -> tuple[list[str], Table]:
    table = Table.read(data)
    labels.hold_against(table)
    return table.column(text, "text").tolist(), table


def _collected(study: Study, labels: Annotation | Panel, texts: list[str]) -> list[list[Any]]:
    """Replies behind the labels, after the labels have been read from them once more."""
    protocol = study.protocol
    assert protocol is not None
    if isinstance(protocol.model, LocalModel):
        return []
    if study.cache is None:
        raise ArgumentError("cache=None keeps no replies, so there is nothing to archive; name a cache in Study(...).")
    store = AnswerStore(cache_folder(study.cache, "answers"))
    try:
        keys, differ = _replayed(study, labels, texts, store)
        if differ:
            raise DataError(f"{differ[0]}; archive with the cache that the labels were made with.")
        return store.replies(keys)
    finally:
        store.close()


def _replayed(
    study: Study, labels: Annotation | Panel, texts: list[str], store: AnswerStore
) -> tuple[list[str], list[str]]:
    """Requests behind the labels, and where labels differ from what the replies say."""
    protocol = study.protocol
    assert protocol is not None
    asker = Asker(protocol.model, store, "replay", None, offline=True)
    rows = RowAsker(asker, protocol.question, protocol.method, protocol.votes)
    shown = {t: bool(protocol.question.why_shown(t)) for t in texts}
    found = {t: rows.label(t) for t in dict.fromkeys(texts) if not shown[t]}
    asker.close()
    made = np.hstack([part.probabilities for part in labels.parts])
    marks = getattr(labels, "marks", [None] * len(texts))
    odd = []
    for i, t in enumerate(texts):
        row = None if shown[t] else found[t]
        p = None if row is None else row.full(protocol.question)
        same = np.isnan(made[i]).all() if p is None else np.allclose(p, made[i], rtol=0, atol=1e-12)
        if not same or repr(row and row.marks) != repr(marks[i]):
            odd.append(i)
    if not odd:
        return list(asker.keys), []
    why = found[texts[odd[0]]].status if not shown[texts[odd[0]]] else "shown in the prompt"
    return list(asker.keys), [
        f"{len(odd)} of {len(texts)} labels are not what the replies say (first: row {odd[0]}, {why})"
    ]


def _inside(study: Study, labels: Annotation | Panel, manifest: Mapping[str, Any]) -> list[str]:
    """Where the parts of an archive do not fit each other."""
    if study.protocol is None:
        return ["the study in the archive has no protocol"]
    out = [f"labels: {line}" for line in study.protocol.differences(labels)]
    now = {"protocol": study.protocol.hash, "codebook": _books(study), "draws": {
        "sample": _digest(_packed(study.sample.positions)),
        "development": _digest(_packed(study.development.positions)),
    }}  # fmt: skip
    return out + [f"{name} is another one than the manifest says" for name in now if now[name] != manifest[name]]


def _against(
    study: Study, labels: Annotation | Panel, root: Path, data: object, text: str
) -> tuple[list[str], list[str]]:
    """Where data and replies do not fit an archive, and what was checked."""
    study.sample.design.aligned(Table.read(data))
    texts, _ = _texts(data, labels, text)
    checked = ["the frame that the sample was drawn from, and the texts"]
    if study.protocol is None or isinstance(study.protocol.model, LocalModel):
        return [], checked
    store = AnswerStore(None)
    try:
        lines = (root / "replies.jsonl").read_text(encoding="utf-8").splitlines()
        store.restore([json.loads(line) for line in lines])
        _, differ = _replayed(study, labels, texts, store)
    except (OSError, ValueError, TypeError) as error:
        return [f"replies.jsonl cannot be read ({error})"], checked
    finally:
        store.close()
    return differ, [*checked, f"{len(texts)} labels read again from {len(lines)} replies"]


def _refit(path: Path, name: str, fit: Any) -> list[str]:
    try:
        old, new = json.loads(path.read_text(encoding="utf-8")), json.loads(fit.to_json())
    except (OSError, ValueError) as error:
        return [f"the fit {name!r} cannot be read ({error})"]
    if old.get("names") != new.get("names"):
        return [f"the fit {name!r} has other coefficients"]
    out = []
    for what, about in (("theta", "estimates"), ("covariance", "covariances")):
        a, b = (np.asarray(_numbers(x.get(what)), dtype=float) for x in (old, new))
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-6, atol=1e-12):
            gap = "" if a.shape != b.shape else f" by up to {np.abs(a - b).max():.3g}"
            out.append(f"the fit {name!r} has other {about}{gap}")
    return out


def _numbers(value: Any) -> list[float]:
    """All numbers in plain values, in order."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [number for each in value for number in _numbers(each)]
    return [float(value)] if isinstance(value, (int, float)) else []


def _files(root: Path, listed: Mapping[str, str]) -> list[str]:
    there = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} - {"manifest.json"}
    out = [f"the file {name} is missing" for name in sorted(set(listed) - there)]
    out += [f"the file {name} is not in the manifest" for name in sorted(there - set(listed))]
    return out + [
        f"the file {name} was changed" for name in sorted(there & set(listed))
        if _digest((root / name).read_bytes()) != listed[name]
    ]  # fmt: skip


def _unpacked(path: Path, folder: Path) -> Path:
    if path.is_dir():
        return path
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(info.file_size for info in packed.infolist()) > _MOST_BYTES:
                raise DataError(f"{str(path)!r} unpacks to more than 4 GiB, so it is not an archive.")
            packed.extractall(folder)
    except OSError as error:
        raise DataError(f"the archive {str(path)!r} cannot be read: {error.strerror}.") from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{str(path)!r} is not an archive ({error}); {_AGAIN}.") from None
    return folder


def _zip(root: Path, path: Path) -> None:
    """The same bytes for the same content."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            packed.writestr(zipfile.ZipInfo(str(file.relative_to(root))), file.read_bytes(), zipfile.ZIP_DEFLATED)


def _versions() -> dict[str, str]:
    import scipy
    import sklearn

    return {
        "karat": __version__, "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
    }  # fmt: skip


def _packed(positions: Ints) -> bytes:
    return np.ascontiguousarray(positions, dtype="<i8").tobytes()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
