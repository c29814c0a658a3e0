"""Loading a transformer and turning batches of texts into vectors."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ..._core.optional import TORCH, optional
from ..._core.types import Floats
from ...errors import ArgumentError, one_of

_WHOLE_FILE = 2**29
_SAMPLES, _SAMPLE = 256, 2**16
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin", "*.py", "*.jinja")
PRECISIONS = ("auto", "float32", "float16", "bfloat16")


def need_transformers() -> None:
    """Raise unless the text extra is installed."""
    import importlib.util

    optional("torch", "transformer models", TORCH)
    for package in ("transformers", "sentence_transformers"):
        if importlib.util.find_spec(package) is None:
            raise ArgumentError(
                f"a transformer model needs {package}, which is not installed; pip install 'karat[text]', or use "
                "model='hashing', which needs nothing."
            )


def locate(model: str, revision: str | None) -> tuple[Path, str]:
    """Folder of a model and its identity: ``name@commit`` on the hub, a fingerprint of its files for a folder.

    A hub model is downloaded once; with ``HF_HUB_OFFLINE=1`` it is only looked up among what was downloaded.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ArgumentError(f"revision={revision!r} belongs to a model on the hub; {model!r} is a local folder.")
        if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
            raise ArgumentError(f"model={model!r} is a folder without config.json or modules.json; no model is in it.")
        return folder, "files:" + fingerprint(folder)
    need_transformers()
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(model, revision=revision, allow_patterns=list(_WANTED)))
    except Exception as error:
        raise ArgumentError(
            f"model={model!r} is not a local folder, and could not be had from the hub ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}). Check the name, give a folder, or use model='hashing', which needs none."
        ) from error
    return found, f"{model}@{found.name}"


def fingerprint(folder: Path) -> str:
    """Hash of the files of a model folder; very large files count by their size and a sample of their bytes."""
    digest = hashlib.blake2b(digest_size=16)
    kinds = {pattern[1:] for pattern in _WANTED}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in kinds):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}:{size}:".encode())
        with path.open("rb") as file:
            if size <= _WHOLE_FILE:
                while block := file.read(2**22):
                    digest.update(block)
                continue
            for at in np.linspace(0, size - _SAMPLE, _SAMPLES).astype(np.int64).tolist():
                file.seek(at)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def unchanged(folder: Path, identity: str) -> Path:
    """The folder of a model that something was fitted with, once it is sure that the same model is still in it."""
    if not identity.startswith("files:"):
        name, _, commit = identity.rpartition("@")
        return folder if folder.is_dir() else locate(name, commit)[0]
    if not folder.is_dir():
        raise ArgumentError(f"the folder {str(folder)!r} with the model is gone; bring it back, or fit again.")
    if "files:" + fingerprint(folder) != identity:
        raise ArgumentError(f"the model in {str(folder)!r} is another one than at fitting; fit again.")
    return folder


def check_device(device: object) -> None:
    """Raise unless this names a device, there or not."""
    kind, colon, number = str(device).partition(":")
    one_of("device", kind, ("auto", "cpu", "cuda", "mps"))
    if colon and (kind == "auto" or not number.isdecimal()):
        raise ArgumentError(f"device={device!r} is not allowed; give 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'.")


def choose_device(device: object) -> str:
    """The device to compute on: as asked, or the best there is."""
    check_device(device)
    import torch

    mps = bool(getattr(torch.backends, "mps", None) and torch.backends.mps.is_available())
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    kind, _, number = str(device).partition(":")
    there = {"cuda": torch.cuda.device_count(), "mps": int(mps), "cpu": 1}[kind]
    if int(number or 0) >= there:
        raise ArgumentError(f"device={device!r} is not available to torch on this machine; use 'auto' or 'cpu'.")
    return str(device)


def choose_precision(precision: object, device: str) -> str:
    """Number format of the forward pass; "auto" is bfloat16 (else float16) on a CUDA device and float32 elsewhere."""
    one_of("precision", precision, PRECISIONS)
    if precision != "auto":
        return str(precision)
    if not device.startswith("cuda"):
        return "float32"
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def autocast(device: str, precision: str) -> Any:
    """Context in which the forward pass runs in the chosen format."""
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.split(":")[0], dtype=getattr(torch, precision))


@contextmanager
def forward(device: str, precision: str) -> Iterator[None]:
    """Context in which a model computes what it says and learns nothing, in the chosen format."""
    import torch

    with torch.inference_mode(), autocast(device, precision):
        yield


def log_likelihoods(model: Any, rows: list[list[int]], spans: list[tuple[int, int]], pad: int, device: str) -> Floats:
    """Log probability that a causal model gives to a span of tokens in each row, after what stands before it."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    logs = np.empty(len(rows))
    for i, (start, end) in enumerate(spans):
        steps = torch.log_softmax(logits[i, start - 1 : end - 1].float(), dim=-1)
        wanted = torch.tensor(rows[i][start:end], device=steps.device)
        logs[i] = float(steps.gather(1, wanted[:, None]).sum())
    return logs


def load(folder: Path, device: str, max_length: int | None) -> Any:
    """A sentence-transformers model; a plain transformers model gets mean pooling."""
    need_transformers()
    with hushed():
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        except Exception as error:
            raise ArgumentError(f"the model in {str(folder)!r} cannot be loaded: {error}") from error
    if max_length is not None:
        model.max_seq_length = max_length
    return model.eval()


@contextmanager
def hushed() -> Iterator[None]:
    """Keep the progress bars and remarks of model libraries off the screen."""
    from tqdm import TqdmWarning

    names = ("sentence_transformers", "transformers")
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    for logger, _ in levels:
        logger.setLevel(logging.ERROR)
    before = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")
    bars = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TqdmWarning)
            from transformers.utils import logging as remarks

            bars = remarks.is_progress_bar_enabled()
            remarks.disable_progress_bar()
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
        if bars:
            remarks.enable_progress_bar()
        if before is not None:
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = before


def embed(
    model: Any, texts: list[str], *, batch_size: int, device: str, precision: str, prompt: str | None, normalize: bool
) -> Floats:
    """Vectors of texts; a batch that does not fit the memory of the device is halved and tried again."""
    import torch

    while True:
        try:
            with torch.inference_mode(), autocast(device, precision):
                out = model.encode(
                    texts, batch_size=batch_size, prompt=prompt, normalize_embeddings=normalize,
                    show_progress_bar=False, convert_to_numpy=True,
                )  # fmt: skip
            return np.ascontiguousarray(out, dtype=np.float32)
        except torch.cuda.OutOfMemoryError:
            if batch_size == 1:
                raise
            torch.cuda.empty_cache()
            batch_size //= 2


def in_portions(
    texts: list[str], batch_size: int, encode: Callable[[list[str]], Floats]
) -> Iterator[tuple[list[int], Floats]]:
    """Positions and vectors, long texts first, in portions of two seconds: little is lost when work is cut short."""
    import time

    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    at, size = 0, 4 * batch_size
    while at < len(order):
        rows = order[at : at + size]
        start = time.perf_counter()
        yield rows, encode([texts[i] for i in rows])
        took = max(time.perf_counter() - start, 1e-3)
        at += len(rows)
        wanted = int(size * min(max(2.0 / took, 0.25), 4.0))
        size = max(batch_size, wanted // batch_size * batch_size)
