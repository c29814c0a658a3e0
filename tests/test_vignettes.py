"""The vignettes run without error and without warnings, what their prose claims holds, and the demo delivers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
VIGNETTES = sorted((CHECKOUT / "vignettes").glob("*.md"))
DOCUMENTS = [path for path in VIGNETTES if path.name != "README.md"]
TIMEOUT = 300

# Run in the kernel after the last cell. Each guards a sentence of the vignette: when an example changes, change both.
CLAIMS = {
    "across-sites": """
assert apart < 1e-9 and np.abs(answer.se() - fit.se()).max() < 1e-9, "the same numbers"
assert set(received[0].facts) == {"columns"} and not received[0].sums, "no more in the first round"
low, high = answer.confint().loc["grievance"]
assert low < 25 < high
assert 10 <= int(logit.notes[-1].split()[-2]) <= 20
pooled_shares = kt.shares(
    "grievance", pd.concat([with_writers(name).assign(archive=name) for name in archives], ignore_index=True),
    by="writer", surrogates={"grievance": "grievance_llm"}, design=kt.Stratified("archive"), learner=None,
)
assert by_writer.names == pooled_shares.names and "not asked" in by_writer.names[0], "a group that one archive has"
assert np.abs(by_writer.theta - pooled_shares.theta).max() < 1e-9, "the same shares"
assert np.abs(by_writer.covariance - pooled_shares.covariance).max() < 1e-9
low, high = logit.confint().loc["grievance"]
assert low < -0.8 < high
table = rest.withdrawal.table()
assert (table["one step - exact"].abs() < 1.5 * table["left out"]).all(), "about how large"
assert (table["one step - exact"].abs() < 0.3 * (table["before"] - table["exact"]).abs().max()).all()
""",
    "checks-and-sensitivity": """
spread = many.heterogeneity()["Range"].unstack()
assert (spread["naive"] > 2.5 * spread["corrected"]).loc[["comedy", "romance"]].all(), "naive answers scatter"
stars = many.naive["comedy"].bounds(0.05)[0] > 0
assert 0 < stars.mean() < 1, "whether comedy pleases depends on the machine"
inside = []
for term in many.terms:
    low, high = many.corrected[term].bounds(0.05)
    inside += list((low < truth[term]) & (truth[term] < high))
    assert many.equality[term][1] > 0.05
assert len(inside) == 15 and all(inside), "all fifteen intervals hold the truth"
gold_se = many.gold["romance"][1]
assert (many.corrected["romance"].se[:3] > 0.8 * gold_se).all() and many.corrected["romance"].se[4] < 0.7 * gold_se
assert (corrected["high (all)"] > corrected["high"]).all()
assert kt.diagnose(fit).ok and not suspicious.ok
assert max(suspicious.balance.rows, key=lambda r: abs(r.standardised)).name == "length"
assert len(missing.bounds) == 2 and all(b.low < b.high for b in missing.bounds)
for term in missing.terms:
    drift = np.ptp(missing.curve.theta[:, missing.fit.position(term)])
    assert drift < missing.fit.se()[term], "slopes of a logit hardly mind"
whole = reviews["fresh"].mean()
assert share.fit.theta[0] - whole > 0.03 and abs(at_right - whole) < abs(share.fit.theta[0] - whole)
assert abs(with_crowd.theta[0] - whole) < 0.015
assert modelled.fit.checks.caution and 0 < abs(modelled.tidy().loc["romance", "gamma, significance"]) < 3
""",
    "draw-label-read": """
assert 0.6 < agreement.alpha < 0.95, "Ben errs"
assert labelled["support"].notna().sum() == 240 and len(decided) > 5
assert (labelled["support"].dropna() == truth[labelled["support"].notna()]).mean() > 0.9
table = fit.compare().table()["Surrogate only"].loc["car"]
assert abs(table["Estimate"]) < 0.4 and table["2.5%"] > parameters["car"], "the machine labels alone miss"
low, high = fit.confint().loc["car"]
assert low < parameters["car"] < high
assert np.abs(from_shell["Estimate"] - fit.coef()).max() < 1e-9, "the same numbers from the shell"
assert (folder / "gold" / "annotators" / "annotator.html").exists()
""",
    "from-posts-to-people": """
assert 1 < labelled.groupby("movie")["fresh"].count().median() < 4, "two or three a film"
assert 0.4 < by_few.params["few"] < 0.65 and by_few.bse["few"] < 0.1, "halves the slope"
low, high = fit.confint().loc["fresh"]
assert low < 1 < high and fit.comparison.columns[1].theta[1] < 0.6, "corrected holds the truth, uncorrected does not"
assert abs(fit.comparison.columns[1].theta[1] / fit.coef()["fresh"] - people.reliability()["fresh"]) < 0.1
assert better.reliability()["fresh"] > 0.8 > people.reliability()["fresh"]
assert narrow.se()["fresh"] < fit.se()["fresh"] / 2
assert abs(sequels.coef()["fresh"] - on_true_shares.params["true_share"]) < 1.5 * sequels.se()["fresh"]
""",
    "large-corpora": """
assert max(apart) < 1e-10, "both ways add up the same sums"
assert fit.n_units == 240_000 and fit.n_gold == 900
low, high = fit.confint().to_numpy()[1:].T
assert ((low < [0.05, -0.6, 0.0, 0.3]) & ([0.05, -0.6, 0.0, 0.3] < high)).sum() >= 3
model, corrected = shares.comparison.columns[0].theta[1], shares.theta[1]
assert abs(model - 1 / 6) < 0.02 and abs(corrected - 1 / 10) < 0.01, "one of six, one of ten"
""",
    "getting-started": """
assert naive.pvalues["comedy"] < 1e-6 and truth.pvalues["comedy"] > 0.5
assert truth.params["romance"] < 0.5 * naive.params["romance"]
assert (rotten.groupby("comedy")["fresh_vader"].mean().diff()[1] > 0.1), "mistakes pile up where the covariate is 1"
assert (rotten.groupby("romance")["fresh_vader"].mean().diff()[1] > 0.1)
assert abs(naive.params["plot"]) < abs(truth.params["plot"]), "others too small"
assert "comedy" in misses("Surrogate only") and "comedy" not in misses("DSL")
assert test.p_value < 0.001
assert covered[:, comedy].all() and 0.9 < covered.mean() < 1, "none misses for comedy, a few for others"
assert size["crowd"].median() > size["one reader"].median() > size["word lists"].median() > 0.98 * fit.n_gold
assert fits["word lists"].compare().difference.p_value < 0.001, "the word lists fail"
assert all(fits[name].compare().difference.p_value > 0.05 for name in ["one reader", "crowd"]), "no bias shows"
assert 0.9 < accuracy["one reader"] and 1 < (fit.se() / comparison.table()["Gold only"]["Std. Error"])["comedy"] < 1.25
assert everything.pvalues["war"] > 0.05 and columns["surrogate only"][0]["war"] > 0.8
assert war_fits["stratified by war"].se()["war"] < 0.6 * war_fits["simple random"].se()["war"]
assert war_fits["stratified by war"].se()["war"] < 1.3 * everything.bse["war"]
assert (fit.se() / fit.with_vcov("HC3").se()).between(0.8, 1.25).all(), "clusters change little"
""",
    "labelled-covariates": """
by_list = pd.DataFrame.from_dict(by_list, orient="index")
assert (by_list.drop("fresh")["coefficient"] > 1.5).all() and (by_list.drop("fresh")["p-value"] < 1e-6).all()
assert by_list.loc["fresh", "p-value"] > 0.5
assert (called.iloc[-1] > called.iloc[0] + 0.05).all(), "longer sentences are called fresh more often"
low, high = fit.confint().loc["fresh"]
assert low < 0 < high < by_list.loc["fresh_vader", "coefficient"] and low < truth["fresh"] < high
observed = [fit.names.index(name) for name in ["comedy", "plot", "acting"]]
assert (fit.effective_gold[observed] > 0.85 * fit.n_units).all(), "nearly as precise as if all were labelled"
assert shortcut.conf_int().loc["guess", 0] > truth["fresh"], "the shortcut is wrong"
low, high = outside.confint().loc["fresh"]
assert low < truth["fresh"] < high
worth = {key: row["effective gold"] for key, row in table.items()}
assert worth["without outcome", "moment"] < worth["with outcome", "moment"] > worth["with outcome", "value"]
assert worth["without outcome", "value"] < worth["without outcome", "moment"]
assert all(abs(row["estimate"] - parameters["hostile"]) < 2 * row["std. error"] for row in table.values())
for name in ["mood[T.negative]", "mood[T.positive]"]:
    low, high = mood_fit.confint().loc[name]
    assert low < mood_truth[name] < high < mood_fit.compare().table()["Surrogate only"]["Estimate"][name]
plain, steered = rows.values()
assert steered["glowing among them"] > 1.9 * plain["glowing among them"]
assert 0.85 < steered["std. error of glowing"] / plain["std. error of glowing"] < 1.2
assert crossed.se()["negation:fresh"] > 2 * fit.se()["fresh"], "interactions need more gold"
claimed = two_labels.compare().table()["Surrogate only"].loc["negative"]
assert claimed["2.5%"] > 0.8 and gold_fit.params["negative"] < 0.1
assert (abs(two_labels.effective_gold / two_labels.n_gold - 1) < 0.15).all(), "surrogates do not help"
""",
    "text-to-regression": """
assert naive.params["car"] > 0 and naive.pvalues["car"] < 1e-6 and truth["car"] < 0, "the opposite is true"
assert labels.shown[[0, 2]].all() and labels.shown.sum() == 2 and len(corpus) == len(letters) - 2
assert everything["support"][0] != everything["support"][2]
assert right["model"] > right["word list"] + 0.1, "reads better"
assert all(row["low"] < truth["car"] < row["high"] for row in rows.values()), "all four intervals are valid"
assert not model_alone["2.5%"] < truth["car"] < model_alone["97.5%"], "precise and wrong"
size = [row["effective gold"] for row in rows.values()]
assert size[0] < 1.3 * 300 and size[3] > 2 * 300 and size[3] == max(size)
assert rows["model, words and text"]["std. error"] < 0.75 * gold_only["Std. Error"]
assert sum(hits) >= 17
assert 0 < labels.cost.amount < 5 and labels.cost.sent == labels.provenance["counts"]["distinct"]
""",
    "a-study-with-a-protocol": """
assert len(study.development.positions) == 100 and (wording, name) == ("codebook", "hasty-reader")
assert all(abs(fit.coef()[t] - truth[t]) < 2 * fit.se()[t] for t in ("car", "distance"))
assert abs(alone["Estimate"]["car"] - truth["car"]) > 0.3 and len(found.differences) == 2
assert same.changed == 0 and changed.low > 0.03 and changed.p_shift < 0.01
""",
    "panel-and-text": """
naive_columns = {column.title: column for column in fit.compare().columns}
assert naive_columns["Surrogate only"].theta[0] < fit.theta[0], "the sale looks more consequential"
assert naive_columns["Surrogate only"].theta[1] < fit.theta[1], "the topic less"
assert fit.compare().difference.p_value < 0.01
low, high = fit.confint().loc["economy"]
assert low < 0.5 < high
assert (two_ways.se() / fit.se()).between(0.8, 1.2).all() and (two_ways.df < fit.df).all(), "writers add little"
assert study.pretrends().p_value > 0.1, "nothing before the sale"
low, high = study.confint().loc["ATT"]
assert low < att < high and abs(naive.theta[0] - att) > abs(study.coef()["ATT"] - att)
every = study.simultaneous().iloc[:, -2:]
inside = [low < truth[float(name)] < high for name, low, high in every.itertuples()]
assert all(inside)
""",
    "planning-gold-labels": """
assert corpus["tone"].std() > 1.5 * unlabelled["tone_vader"].std(), "people spread wider"
assert guess.needed[0].n < 0.6 * plan.needed[0].n, "the first guess is badly off"
negation, war = plan.needed
assert negation.n is not None and negation.low < negation.n < negation.high
assert war.n is None and war.best > 0.1
assert int(corpus["war"].sum()) == 143 and round(600 * corpus["war"].mean()) == 17
reached = smf.ols(formula, corpus).fit(cov_type="cluster", cov_kwds={"groups": corpus["editorial"]})
assert war.best_low < 1.96 * reached.bse["war"] < war.best_high, "what all gold would give is foretold"
ratio = allocations.table(relative=True)
assert ratio.loc["war", "neyman"] < 0.7 and ratio.loc["negation", "neyman"] < 1
assert 1 < ratio.loc["economy", "neyman"] < 1.5
path = allocations.path()
assert path.loc[0.2, "war"] < path.loc[1.0, "war"] and path.loc[0.2, "words"] > path.loc[1.0, "words"]
assert budget.best() == "quick reader"
assert (budget.table().query("option == 'word lists'")["r_squared"] < 0.3).all()
assert fit.n_gold == 800
came = fit.se() / allocations["neyman"].se
assert came.between(0.6, 1.5).all() and (came < 1).sum() >= 3 and came["war"] > 1, "most gain from the pilot"
assert ((interval.iloc[:, 0] < everything.params) & (everything.params < interval.iloc[:, 1])).sum() >= 4
""",
    "shares-over-time": """
shares = comparison.table().xs("Estimate", axis=1, level=1)
errors = comparison.table().xs("Std. Error", axis=1, level=1)
off = (shares.sub(truth, axis=0) / errors).abs()
assert shares.loc["economy", "Surrogate only"] > truth["economy"] + 0.05 and off["Surrogate only"].max() > 10
assert (off[["Gold only", "DSL"]] < 2).all().all()
assert (errors["DSL"] / errors["Gold only"]).between(0.55, 0.75).all() and (comparison.effective_gold > 2400).all()
assert abs(months.table().sum(axis=1) - 1).max() < 1e-9 and len(gaps.names) == 12
assert trend.tidy().filter(like="migration", axis=0)["Estimate"].idxmax() == "migration: right"
assert trend.pvalue()["migration: right"] < 0.001
asked = whose.differences["experts", "students"]
assert (asked.se().filter(like="migration") < whose["experts"].se().to_numpy()[1::4]).all()
assert (asked.coef().filter(like="migration") < 0).all() and (asked.pvalue().filter(like="migration") < 0.001).all()
single = quarters.differences("periods", reference="2022Q1").se().filter(like="migration: 2023Q4")
assert (7 * trend.se().filter(like="migration").to_numpy() < 0.9 * single.to_numpy()).all(), "a trend is more precise"
assert plan.reached and plan.n < 2000 and quarters.plan(half_width=0.05, of="average").n > 4 * 1200
""",
    "categories": """
assert right[0] > right[1] + 0.1, "not equally well for everybody"
assert naive[0] < -0.1 and truth[0] > 0 and 2.5 < naive[2] / truth[2] < 3, "nearly three times as much"
assert shown["truth"].between(shown["low"], shown["high"]).all()
assert tones.ratios().confint()["97.5%"]["opposition"] < 0.5 and tones.ratios().confint()["97.5%"]["election"] < 1
plain = tones.compare().table()["Surrogate only"].loc["opposition"]
assert plain["2.5%"] > -0.5, "much milder"
assert ((tones.confint().loc[["opposition", "election"]].T - [-1.2, -0.8]).prod() < 0).all()
inside = [low <= true_share[side, t] <= high for t, side, low, high in
          spread[["outcome", "opposition", "low", "high"]].itertuples(index=False)]
assert len(inside) == 10 and sum(inside) >= 9, "karat's intervals in the picture"
assert abs(slopes.theta.sum()) < 1e-12
a, b = changes["ordered"], changes["multinomial"]
assert (abs(a.theta - b.theta) < b.se()).all() and (a.se().to_numpy() < b.se().to_numpy()).all()
assert 0.015 < abs(gap).max() < 0.035
""",
    "how-long-until": """
late = trick["with the years up to 2008"]
assert (abs(trick["Kaplan-Meier"] - late) < 0.1).all()
off = trick[["censored dropped", "censored as if ended"]].sub(late, axis=0)
assert (off.loc["democracies"] < -0.5).all() and off.loc["autocracies"].between(-2.05, -0.85).all()
gap = trick.loc["autocracies"] - trick.loc["democracies"]
assert gap.iloc[:2].max() < 0.9 * gap.iloc[3]
assert by_regime["years out of ten"]["presidential"] < 4 and by_regime["years out of ten"]["civilian"] > 6
assert by_regime["years out of ten"]["monarchy"] > 8.5
assert abs(np.mean(w.values * w.restricted) - restricted(leaders).iloc[0]) < 1e-10
assert abs(by_group.diagnostics(leaders["regime"])["mean weight"] - 1).max() < 1e-10
assert len(caught) == 1 and "censored throughout" in str(caught[0].message)
by_decade = by_year.diagnostics(decade.astype(str))
assert by_decade.loc["2004-08", "mean weight"] < 0.5 and by_decade.loc["2004-08", "at risk at tau"] == 0
assert by_decade["largest weight"].max() < 2
assert 0.45 < np.mean(w.values * w.restricted) - np.mean(by_year.values * by_year.restricted) < 0.65
ends = pd.DataFrame(lines).T
spread = ends["would all have stayed"] - ends["death as an end"]
assert spread["autocracies"] > 1.5 * spread["democracies"]
assert ends.loc["autocracies"].min() > ends.loc["democracies"].max()
assert 6.05 < fit.coef().iloc[0] < 6.2 and -2.5 < fit.coef().iloc[1] < -2.35
assert 4 < wide.coef().filter(like="monarchy").iloc[0] < 4.5
assert wide.se().filter(like="presidential").iloc[0] > wide.se().filter(like="mixed").iloc[0]
assert abs(years.loc["in office", "autocracies"] - ends.loc["autocracies", "death as an end"]) < 0.02
naive = both.compare().table()["Surrogate only"].loc["democracy"]
assert naive["Estimate"] < -3 and naive["97.5%"] < fit.coef().iloc[1]
low, high = both.confint().loc["democracy"]
assert low < fit.coef().iloc[1] < high
assert (both.effective_gold > 1.6 * both.n_gold).all() and (both.effective_gold < 2.3 * both.n_gold).all()
assert 0.9 < 1 - mistaken.mean() < 0.93 and leaders["years"].corr(leaders["years_llm"]) > 0.98
assert risk.idxmin() == 40
assert judged["mean squared error"].idxmin() == "weighted"
assert abs(judged.loc["weighted", "autocracies"] - judged.loc["known today", "autocracies"]) < 0.1
assert (judged.loc["censored dropped"] < judged.loc["known today"]).iloc[:2].all()
""",
}


@pytest.fixture
def running_interpreter(tmp_path, monkeypatch):
    """Name of a Jupyter kernel that is the interpreter of the tests."""
    home = tmp_path / "kernels" / "running-interpreter"
    home.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    described = {"argv": command, "display_name": "running interpreter", "language": "python"}
    (home / "kernel.json").write_text(json.dumps(described))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return home.name


def warned(written):
    """Category and text of each warning, whatever the folders in the paths are called."""
    return re.findall(r":\d+: (\w*Warning): (.*)", written)


def test_warnings_are_found_by_their_category():
    quiet = "/home/KaratWarning/karat/checkout: 12 texts read\n"
    loud = f"{quiet}/home/karat/fit.py:7: SmallSampleWarning: Only 12 gold rows.\n  fit = kt.ols()\n"
    assert warned(quiet) == []
    assert warned(loud) == [("SmallSampleWarning", "Only 12 gold rows.")]


def test_every_document_is_found():
    names = {path.stem for path in DOCUMENTS}
    assert set(CLAIMS) <= names


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_document_runs(path, running_interpreter):
    import jupytext
    import nbformat
    from nbclient import NotebookClient

    notebook = jupytext.read(path)
    notebook.cells.append(nbformat.v4.new_code_cell(CLAIMS.get(path.stem, "")))
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name=running_interpreter,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    written = [
        output["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]
    assert warned("".join(written)) == []


def test_demo(tmp_path):
    done = subprocess.run(
        [sys.executable, CHECKOUT / "vignettes" / "demo.py", "--out", tmp_path / "plots"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for part in ["Truth (all gold)", "Surrogates only", "Gold only", "DSL, word lists", "DSL, crowd scores"]:
        assert part in done.stdout
    counts = [int(found) for found in re.findall(r": (\d) of 6 ", done.stdout)]
    assert len(counts) == 3
    assert counts[0] >= 3, "surrogates alone miss"
    assert max(counts[1:]) <= 1, "DSL covers"
    picture = Path(re.search(r"Coefficient plot: (.+)", done.stdout)[1])
    assert picture.parent == tmp_path / "plots"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not done.stderr.strip()


def test_help_texts_name_sections_of_the_methods_that_exist():
    sections = set(re.findall(r"^##+ ([\d.]*\d)", (CHECKOUT / "docs" / "methods.md").read_text(), flags=re.MULTILINE))
    named = set()
    for path in (CHECKOUT / "src" / "karat").rglob("*.py"):
        for where in re.findall(r"methods(?:\.md)?,? sections? ([\d., and]*\d)", path.read_text()):
            named |= set(re.findall(r"[\d.]*\d", where))
    assert {"1.2", "2", "3", "9"} <= named <= sections


def test_output_of_the_demo_is_ignored_by_git():
    assert "demo-output/" in (CHECKOUT / ".gitignore").read_text().split()
