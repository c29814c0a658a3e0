"""What a label means: codes with definitions, examples and boundaries, as one object and one file."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, DataError
from .question import Question
from .saying import normal
from .span_question import SpanQuestion

FORMAT, VERSION = "karat codebook", 1
_MOST_BYTES = 2**20
_TEXT, _LIST = "a text", "a list of texts"


@dataclass(frozen=True)
class Code:
    """One code of a codebook.

    Parameters
    ----------
    value : str or int
        The class as it stands in the gold column.
    word : str, optional
        What the model sees and answers; by default the value.
    definition : str
        When the code applies.
    examples : sequence of str
        Passages to which it applies. The prompt quotes them; rows with these texts must leave the analysis.
    boundaries : str
        What does not belong to it, and what it is easily taken for.
    parent : str or int, optional
        Value of the broader code that it is part of, see :meth:`Annotation.rolled_up`.

    Raises
    ------
    ArgumentError
        If a field is not of its type.

    Examples
    --------
    >>> from karat.annotate import Code
    >>> Code(1, "yes", "The writer wants the line.").word
    'yes'
    """

    value: Any
    word: str | None = None
    definition: str = ""
    examples: Sequence[str] = ()
    boundaries: str = ""
    parent: Any = None

    def __post_init__(self) -> None:
        _value("value", self.value)
        if self.parent is not None:
            _value("parent", self.parent)
        object.__setattr__(self, "word", str(self.value) if self.word is None else _text("word", self.word))
        for name in ("definition", "boundaries"):
            object.__setattr__(self, name, _text(name, getattr(self, name), empty=True))
        object.__setattr__(self, "examples", _texts("examples", self.examples))

    def shown(self) -> str:
        """The code as a line of the prompt."""
        parts = [self.definition.rstrip(".")] if self.definition else []
        parts += ["For example: " + ", ".join(f"\u201c{text}\u201d" for text in self.examples)] if self.examples else []
        parts += [f"Not this code: {self.boundaries.rstrip('.')}"] if self.boundaries else []
        return f"- {self.word}" + (": " + ". ".join(parts) + "." if parts else "")


@dataclass(frozen=True)
class Codebook:
    """A question with its codes: what experts and models are told.

    Parameters
    ----------
    name : str
        The gold column, such as ``"support"``.
    question : str
        The question in words.
    codes : sequence of Code, or mapping
        Value -> :class:`Code`, or value -> definition.
    scale : (int, int), optional
        Instead of codes: lowest and highest rating.
    several : bool
        Whether several codes may hold for one text.
    other : str, optional
        Word for "none of the codes", which becomes a class of its own.
    language : str, optional
        Language of the texts, such as ``"German"``; the prompt names it.
    notes : str
        For people; no prompt shows them.

    Raises
    ------
    ArgumentError
        Names the field that cannot be used.

    Examples
    --------
    >>> import karat as kt
    >>> book = kt.annotate.Codebook(
    ...     "support", "Does the writer want the tram?",
    ...     [kt.annotate.Code(1, "yes", "Wants it built.", boundaries="praise of trams elsewhere"),
    ...      kt.annotate.Code(0, "no", "Does not want it, or does not say.")])
    >>> print(book.ask().instruction)
    Does the writer want the tram?
    <BLANKLINE>
    - yes: Wants it built. Not this code: praise of trams elsewhere.
    - no: Does not want it, or does not say.
    """

    name: str
    question: str
    codes: Any = ()
    scale: tuple[int, int] | None = None
    several: bool = False
    other: str | None = None
    language: str | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "question"):
            _text(name, getattr(self, name))
        for name in ("other", "language"):
            if getattr(self, name) is not None:
                _text(name, getattr(self, name))
        _text("notes", self.notes, empty=True)
        if not isinstance(self.several, bool):
            raise ArgumentError(f"several={self.several!r} is not allowed; give true or false.")
        object.__setattr__(self, "codes", _codes(self.codes))
        if isinstance(self.scale, list):
            object.__setattr__(self, "scale", tuple(self.scale))
        if self.codes and self.scale is not None:
            raise ArgumentError("scale is given beside codes; a codebook has one of them.")
        if not self.codes and self.scale is None:
            raise ArgumentError("codes is empty; give a list of codes, or a scale.")
        known = {code.value for code in self.codes}
        for place, code in enumerate(self.codes):
            if code.parent is not None and code.parent in known:
                raise ArgumentError(
                    f"codes[{place}].parent={code.parent!r} is itself a code that texts get; name a broader one."
                )
        self.ask()

    def ask(self, spans: bool = False, **changes: Any) -> Question:
        """The question as a model is asked it.

        Parameters
        ----------
        spans : bool
            Ask for the passages that have a code, with :class:`SpanQuestion`.
        **changes
            Arguments of :class:`Question` that are to be others: another ``instruction`` or ``template``, ``examples``.

        Returns
        -------
        Question
        """
        told = [self.question, *([f"The texts are in {self.language}."] if self.language else [])]
        listed = [code.shown() for code in self.codes]
        instruction = "\n\n".join([" ".join(told), *(["\n".join(listed)] if listed else [])])
        what: dict[str, Any] = {"instruction": instruction, "name": f"{self.name}_llm"}
        if spans and (self.scale is not None or self.other is not None):
            raise ArgumentError("spans=True is for codes; passages have no scale, and no code for none of them.")
        if self.scale is None:
            what["classes"] = {code.value: code.word for code in self.codes}
        else:
            what["scale"] = self.scale
        if spans:
            return SpanQuestion(**{**what, **changes})
        if self.several:
            what["several"] = True
        if self.other is not None:
            what["other"] = self.other
        return Question(**{**what, **changes})

    @property
    def parents(self) -> dict[Any, Any]:
        """Value of each code -> the broader code that it is part of (itself where there is none)."""
        return {code.value: code.value if code.parent is None else code.parent for code in self.codes}

    def describe(self) -> dict[str, Any]:
        """All of it as plain values, as a file holds it; fields that say nothing are left out."""
        out: dict[str, Any] = {"format": FORMAT, "version": VERSION}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "codes":
                value = [_said(code) for code in self.codes]
            if value != field.default and value not in ([], ()):
                out[field.name] = list(value) if isinstance(value, tuple) else value
        return out

    @property
    def digest(self) -> str:
        """Hash of all that it says, notes apart."""
        about = {key: value for key, value in self.describe().items() if key != "notes"}
        return hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file that people can edit.

        Parameters
        ----------
        path : str or Path
            Ends in ``.json``, ``.yaml`` or ``.yml``; the last two need the package PyYAML.
        """
        path = Path(path)
        if _is_yaml(path):
            text = _yaml().safe_dump(self.describe(), sort_keys=False, allow_unicode=True, width=100)
        else:
            text = json.dumps(self.describe(), indent=2, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")


def read_codebook(path: str | os.PathLike[str]) -> Codebook:
    """Read a codebook that people wrote.

    Parameters
    ----------
    path : str or Path
        A ``.json``, ``.yaml`` or ``.yml`` file: the arguments of :class:`Codebook`, ``codes`` being a list of the
        arguments of :class:`Code`. YAML is read as data only, never as code, and needs the package PyYAML.

    Returns
    -------
    Codebook

    Raises
    ------
    DataError
        Names the file and the field that is missing, not known, or of another type.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import karat as kt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "tone.json"
    ...     kt.annotate.Codebook("tone", "How friendly is the letter?", scale=(1, 7)).save(path)
    ...     kt.annotate.read_codebook(path).scale
    (1, 7)
    """
    file = Path(path)
    yaml = _is_yaml(file)
    name = repr(str(file))
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DataError(f"{name} is larger than a megabyte, so it is not a codebook.")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the file {name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{name} is not a text in UTF-8; save it so.") from None
    try:
        return codebook_of(_parsed(text, yaml))
    except (ArgumentError, DataError) as error:
        raise DataError(f"{name}: {error}") from None


def codebook_of(given: object) -> Codebook:
    """A codebook from plain values, every field checked."""
    fields = _fields(given, Codebook, "", extra=("format", "version"))
    if fields.pop("format", FORMAT) != FORMAT:
        raise DataError(f"format is {given['format']!r}; a codebook has {FORMAT!r}.")  # type: ignore[index]
    version = fields.pop("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= VERSION:
        raise DataError(f"version={version!r} cannot be read; this karat reads versions up to {VERSION}.")
    codes = fields.get("codes", ())
    if not isinstance(codes, (list, tuple)):
        raise DataError(f"codes is {_came(codes)}; give a list with value, word, definition of each code.")
    listed = []
    for place, code in enumerate(codes):
        try:
            listed.append(Code(**_fields(code, Code, f"codes[{place}].")))
        except ArgumentError as error:
            raise DataError(f"codes[{place}].{error}") from None
    return Codebook(**{**fields, "codes": listed})


def _fields(given: object, kind: Any, where: str, extra: Sequence[str] = ()) -> dict[str, Any]:
    """Fields of a class, those that must be there and no others."""
    known = [field.name for field in dataclasses.fields(kind)]
    needed = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    if not isinstance(given, Mapping):
        raise DataError(f"{where.rstrip('.') or 'the file'} is {_came(given)}; give the fields {', '.join(needed)}.")
    if odd := [key for key in given if key not in (*known, *extra)]:
        raise DataError(f"{where}{odd[0]} is not a field; there are {', '.join(known)}.")
    if lost := [name for name in needed if given.get(name) is None]:
        raise DataError(f"{where}{lost[0]} is missing; every {kind.__name__.lower()} needs one.")
    return {key: value for key, value in given.items() if value is not None}


def _parsed(text: str, yaml: bool) -> object:
    if not yaml:
        try:
            return json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"it is not JSON ({error}).") from None
    library = _yaml()

    class Loader(library.SafeLoader):  # type: ignore[name-defined]
        """Plain data; a field that stands twice is refused."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        return _once([(loader.construct_object(k, True), loader.construct_object(v, True)) for k, v in node.value])

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return library.load(text, Loader)
    except (library.YAMLError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"it is not YAML of plain values ({' '.join(str(error).split())[:200]}).") from None


def _once(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"the field {twice[0]!r} stands twice in one place; keep one.")
    return dict(pairs)


def _is_yaml(path: Path) -> bool:
    ending = path.suffix.lower()
    if ending not in (".json", ".yaml", ".yml"):
        raise ArgumentError(f"path={str(path)!r} is not allowed; a codebook ends in .json, .yaml or .yml.")
    return ending != ".json"


def _yaml() -> Any:
    if importlib.util.find_spec("yaml") is None:
        raise ArgumentError("YAML needs the package PyYAML (pip install pyyaml); or write the codebook as .json.")
    return importlib.import_module("yaml")


def _codes(given: Any) -> tuple[Code, ...]:
    if isinstance(given, Mapping):
        given = [what if isinstance(what, Code) else Code(value, definition=what) for value, what in given.items()]
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise ArgumentError(f"codes is {_came(given)}; give a list of Code(...).")
    for place, code in enumerate(given):
        if not isinstance(code, Code):
            raise ArgumentError(f"codes[{place}] is {_came(code)}; give Code(value, word, definition).")
        if any(
            code.value == other.value or normal(str(code.word)) == normal(str(other.word)) for other in given[:place]
        ):
            raise ArgumentError(f"codes[{place}] has the value or word of an earlier code ({code.value!r}).")
    return tuple(given)


def _said(code: Code) -> dict[str, Any]:
    out = {field.name: getattr(code, field.name) for field in dataclasses.fields(code)}
    out["examples"] = list(code.examples)
    return {key: value for key, value in out.items() if value not in ("", [], None)}


def _value(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ArgumentError(f"{name} is {_came(value)}; give a text or a whole number.")


def _text(name: str, value: Any, empty: bool = False) -> str:
    if not isinstance(value, str) or not (empty or value.strip()):
        raise ArgumentError(f"{name} is {_came(value)}; give {_TEXT}.")
    return value.strip()


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ArgumentError(f"{name} is {_came(value)}; give {_LIST}.")
    return tuple(_text(f"{name}[{place}]", each) for place, each in enumerate(value))


def _came(value: Any) -> str:
    if isinstance(value, bool):
        word = "yes" if value else "no"
        return f'{str(value).lower()} (YAML reads {word} without quotes so; write "{word}")'
    if value in ("", None):
        return "empty"
    return f"{value!r}"[:60] if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
