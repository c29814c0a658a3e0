"""Draw docs/home.png, the picture on the home page: ``python docs/home_picture.py`` (about ten seconds).

Thirty studies, each with a simulated corpus of 5,000 documents, all labelled by a model that is right in 83 of 100
documents, and 300 of them by experts as well. The coefficient of the label is .8.
"""

from pathlib import Path

import matplotlib.pyplot as plt

import karat as kt

STUDIES, DOCUMENTS, GOLD = 30, 5_000, 300
PANELS = {
    "Surrogate only": ("Model labels of all 5,000 documents, taken for truth", "#b2182b"),
    "Gold only": ("Expert labels of 300 documents alone", "#8a7a3f"),
    "DSL": ("karat, from both together", "#1b4f8f"),
}


def study(seed):
    """The three intervals of one study."""
    corpus, truth = kt.datasets.simulate(DOCUMENTS, seed=seed)
    sample = kt.SimpleRandom(n=GOLD).draw(corpus.drop(columns="hostile"), seed=seed)
    fit = kt.ols(
        "outcome ~ hostile + length",
        kt.datasets.mask_gold(corpus, sample, "hostile"),
        surrogates={"hostile": ["hostile_llm", "hostile_score"]},
        design=sample.design,
        learner="linear",
        repeats=1,
        seed=seed,
    )
    table = fit.compare().table()
    return truth["hostile"], {name: tuple(table[name].loc["hostile", ["2.5%", "97.5%"]]) for name in PANELS}


def main():
    """Draw the picture beside this file."""
    found = [study(seed) for seed in range(STUDIES)]
    truth = found[0][0]
    plt.rcParams.update({"font.size": 11})
    figure, axes = plt.subplots(3, 1, figsize=(8, 6.6), sharex=True, layout="constrained")
    for ax, (name, (title, colour)) in zip(axes, PANELS.items(), strict=True):
        bounds = [intervals[name] for _, intervals in found]
        for k, (low, high) in enumerate(bounds):
            hit = low <= truth <= high
            style = {"linewidth": 2.0, "linestyle": "-"} if hit else {"linewidth": 1.4, "linestyle": (0, (2, 1))}
            ax.plot([low, high], [k, k], color=colour, **style)
        hits = sum(low <= truth <= high for low, high in bounds)
        ax.axvline(truth, color="black", linestyle=(0, (4, 3)), linewidth=1.2)
        ax.set_title(f"{title}: {hits} of {STUDIES} intervals hold the truth", loc="left", fontsize=11, color=colour)
        ax.set_yticks([])
        ax.spines[["top", "right", "left"]].set_visible(False)
    axes[-1].set_xlabel("coefficient of the label, 95 % interval; dashed line: the truth; broken intervals miss it")
    path = Path(__file__).with_name("home.png")
    figure.savefig(path, dpi=140)
    print(path)


if __name__ == "__main__":
    main()
