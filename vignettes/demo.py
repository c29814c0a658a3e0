"""The main job on bundled real data: a regression on labels made by machines, and the same one corrected.

10,455 sentences from film reviews, each with the critic's verdict (fresh or rotten) and with scores of
three word lists that try to guess it. The verdict is known for every sentence, which real projects
cannot say; here it provides the truth. karat sees it for a random few only.

    python vignettes/demo.py [--out demo-output] [--gold 600] [--seed 2026]
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import matplotlib
import pandas as pd
import statsmodels.formula.api as smf

import karat as kt

FORMULA = "fresh ~ comedy + plot + acting + romance + negation + length"
WORD_LISTS = ["fresh_vader", "tone_vader", "tone_afinn", "tone_textblob"]
CROWD = ["fresh_crowd", "share_crowd", "tone_crowd"]


def main() -> None:
    """Draw gold, fit with poor and with good surrogates, print and plot."""
    arguments = read_arguments()
    reviews = kt.datasets.load("reviews")
    reviews["length"] = reviews["words"] / 10
    truth = smf.logit(FORMULA, reviews).fit(disp=False).params

    sample = kt.SimpleRandom(n=arguments.gold).draw(reviews, seed=arguments.seed)
    labelled = kt.datasets.mask_gold(reviews, sample, "fresh")
    common = {"design": sample.design, "cluster": "movie", "seed": arguments.seed}
    fit = kt.logit(FORMULA, labelled, surrogates={"fresh": WORD_LISTS}, **common)
    better = kt.logit(FORMULA, labelled, surrogates={"fresh": CROWD}, **common)

    print_setting(reviews, fit)
    print(side_by_side(fit, better, truth).to_string())
    print("Estimate (standard error); * marks 95% intervals that miss the truth.\n")
    for sentence in what_is_seen(fit, better, truth):
        print(textwrap.fill(sentence, 100) + "\n")
    print(f"Coefficient plot: {draw_plot(fit, better, truth, arguments.out)}")


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder for the plot")
    parser.add_argument("--gold", type=int, default=600, help="how many sentences get their gold label")
    parser.add_argument("--seed", type=int, default=2026, help="seed of the draw and of the fit")
    return parser.parse_args()


def print_setting(reviews: pd.DataFrame, fit: kt.Result) -> None:
    """Say what the data and the gold sample are."""
    right = (reviews["fresh_vader"] == reviews["fresh"]).mean()
    print(f"What do film critics like?  {FORMULA}\n")
    print(f"Corpus      {len(reviews):,} sentences from reviews of {reviews['movie'].nunique()} films")
    print("Label       fresh: 1 if the critic's verdict is fresh, 0 if rotten")
    print(f"Surrogates  word lists (VADER, AFINN, TextBlob); VADER gets {right:.0%} of the verdicts right")
    print(f"Gold        {fit.sampling.design}; the other verdicts serve for the truth alone\n")


def outcomes(fit: kt.Result, title: str, truth: pd.Series) -> pd.DataFrame:
    """One column of the comparison, with whether its intervals miss the truth."""
    column = fit.compare().table()[title]
    goal = truth[column.index]
    return column.assign(misses=(goal < column["2.5%"]) | (goal > column["97.5%"]))


def side_by_side(fit: kt.Result, better: kt.Result, truth: pd.Series) -> pd.DataFrame:
    """Truth, surrogates alone, gold alone and DSL as text cells."""
    columns = {
        "Surrogates only": outcomes(fit, "Surrogate only", truth),
        "Gold only": outcomes(fit, "Gold only", truth),
        "DSL, word lists": outcomes(fit, "DSL", truth),
        "DSL, crowd scores": outcomes(better, "DSL", truth),
    }
    cells = {"Truth (all gold)": [f"{truth[name]:.2f} " for name in fit.names]}
    for title, column in columns.items():
        rows = zip(column["Estimate"], column["Std. Error"], column["misses"])
        cells[title] = [f"{estimate:.2f} ({se:.2f}){'*' if miss else ' '}" for estimate, se, miss in rows]
    return pd.DataFrame(cells, index=list(fit.names))


def what_is_seen(fit: kt.Result, better: kt.Result, truth: pd.Series) -> list[str]:
    """What the numbers say, computed from them."""
    slopes = [name for name in fit.names if name != "Intercept"]
    naive = outcomes(fit, "Surrogate only", truth).loc[slopes]
    gold = outcomes(fit, "Gold only", truth).loc[slopes]
    poor, good = (outcomes(result, "DSL", truth).loc[slopes] for result in (fit, better))
    worst = ((naive["Estimate"] - truth[slopes]).abs() / naive["Std. Error"]).idxmax()
    claim = naive.loc[worst]
    test = fit.compare().difference
    noticed = "" if test is None else f" The difference test sees it without the truth: p = {test.p_value:.1g}."
    size = [pd.Series(r.effective_gold, index=r.names)[slopes].median() for r in (fit, better)]
    ratio = [(dsl["Std. Error"] / gold["Std. Error"]).median() for dsl in (poor, good)]
    return [
        f"Surrogates alone: {naive['misses'].sum()} of {len(slopes)} slopes have an interval that misses the truth. "
        f"For {worst!r} they claim {claim['Estimate']:.2f} (interval {claim['2.5%']:.2f} to {claim['97.5%']:.2f}); all "
        f"gold labels give {truth[worst]:.2f}. More documents only make such an interval narrower.{noticed}",
        f"DSL with word lists: {poor['misses'].sum()} of {len(slopes)} intervals miss the truth. Standard errors are "
        f"{ratio[0]:.2f} times those of gold alone, the effective gold is {size[0]:,.0f} for {fit.n_gold} gold "
        "labels (medians over the slopes).",
        f"DSL with the scores of a crowd of readers: {good['misses'].sum()} of {len(slopes)} miss the truth. Standard "
        f"errors are {ratio[1]:.2f} times those of gold alone, the effective gold is {size[1]:,.0f}. Good "
        "surrogates buy precision; validity comes from the gold sample.",
    ]


def draw_plot(fit: kt.Result, better: kt.Result, truth: pd.Series, folder: Path) -> Path:
    """Write the coefficient plot and say where."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10.5, 6.0), sharex=True, sharey=True, layout="constrained")
    titles = ("Weak surrogates: three word lists", "Strong surrogates: scores by a crowd of readers")
    for axes, result, title in zip(panels, (fit, better), titles):
        result.coefplot(ax=axes, truth=truth, title=title)
        axes.set_xlabel("log odds of a fresh verdict, 95% interval")
        entries, names = axes.get_legend_handles_labels()
        axes.get_legend().remove()
    figure.legend(entries, names, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"What do film critics like? {fit.n_units:,} sentences, {fit.n_gold} of them with gold verdicts")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "coefficients.png"
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    main()
