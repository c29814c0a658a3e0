"""Pages point to pages, sections and files that exist, their code runs, and the site lists them all."""

import doctest
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "vignettes/*.md", "data/*.md", "benchmarks/**/*.md", "tests/**/*.md")
    for path in CHECKOUT.glob(pattern)
)
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def sections(path):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        where, _, anchor = link.partition("#")
        target = (page.parent / where).resolve() if where else page
        found = target.exists() and (not anchor or target.suffix != ".md" or anchor in sections(target))
        broken += [] if found else [link]
    assert not broken


def test_files_named_in_the_readme_exist():
    """Paths in backticks that look like files of this checkout."""
    for page in ("README.md", "CONTRIBUTING.md"):
        named = re.findall(
            r"`((?:tests|docs|benchmarks|data|vignettes|\.ci|\.github)/[\w./-]+)`", (CHECKOUT / page).read_text()
        )
        assert not [name for name in named if not (CHECKOUT / name).exists()]


def test_modules_named_for_contributors_exist():
    """Where new code goes: every file and folder of the package that CONTRIBUTING.md names."""
    page = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = CHECKOUT / "src" / "karat"
    rooms = {path.name for path in source.iterdir() if path.is_dir()}
    named = [name for name in re.findall(r"`([\w/]+(?:\.py|/))`", page) if name.split("/")[0] in rooms]
    assert len(named) > 40
    assert not [name for name in named if not (source / name).exists()]


def test_what_ci_and_hooks_call_exists():
    """Each `make` target that a workflow runs is in the Makefile; hooks run what `make install` installs."""
    targets = set(re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE))
    called = set()
    for path in (CHECKOUT / ".github" / "workflows").glob("*.yml"):
        called |= set(re.findall(r"run: make ([\w-]+)", path.read_text()))
    assert {"test-all", "test-oldest", "test-wheel", "lint", "types", "docs", "nightly"} <= called <= targets
    for entry in re.findall(r"entry: (\S+)", (CHECKOUT / ".pre-commit-config.yaml").read_text()):
        assert entry in (".venv/bin/ruff", ".venv/bin/python")


def test_versions_of_python_agree():
    """Classifiers, workflow, requires-python, mypy and ruff name the same versions."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    said = [c.rpartition(" ")[2] for c in project["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)]
    tested = re.search(r"python: \[(.*)\]", (CHECKOUT / ".github" / "workflows" / "tests.yml").read_text())[1]
    assert re.findall(r"[\d.]+", tested) == said
    assert project["project"]["requires-python"] == f">={said[0]}"
    assert project["tool"]["mypy"]["python_version"] == said[0]
    assert project["tool"]["ruff"]["target-version"] == "py" + said[0].replace(".", "")


def test_the_readme_does_what_it_shows(tmp_path):
    """Its lines run, and print what stands below them: words exactly, numbers to 0.002."""
    page = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    code, shown = re.search(r"^```python\n(.*?)^```\n\n^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE).groups()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    number = re.compile(r"-?\d+\.\d+")
    assert number.sub("#", done.stdout).split() == number.sub("#", shown).split()
    found, wanted = ([float(value) for value in number.findall(text)] for text in (done.stdout, shown))
    assert max(abs(a - b) for a, b in zip(found, wanted)) < 0.002
    assert "<!doctype html>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_readme_is_one_screen():
    lines = (CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 90


@pytest.mark.parametrize("page", ["tables"])
def test_examples_of_pages_run(page):
    found = doctest.testfile(str(CHECKOUT / "docs" / f"{page}.md"), module_relative=False)
    assert found.attempted > 5
    assert not found.failed


RUN = sorted(path for path in (CHECKOUT / "docs").glob("*.md") if CODE.search(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", RUN, ids=lambda path: path.stem)
def test_code_of_pages_runs(page, tmp_path, monkeypatch):
    """Blocks marked ``python``, in order, in one session; those with prompts also print what the page says."""
    monkeypatch.chdir(tmp_path)
    known = {"__name__": page.stem}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for number, block in enumerate(CODE.findall(page.read_text(encoding="utf-8"))):
        name = f"{page.name}, block {number + 1}"
        if ">>> " in block:
            example = doctest.DocTestParser().get_doctest(block, known, name, str(page), 0)
            assert not runner.run(example, clear_globs=False).failed
            known = example.globs
        else:
            exec(compile(block, name, "exec"), known)


def listed():
    """Documents that the navigation of the site names, relative to the checkout and without ending."""
    found = set()
    for page in (CHECKOUT / "docs").glob("*.md"):
        for block in TREE.findall(page.read_text(encoding="utf-8")):
            for line in (line for line in block.splitlines() if line and not line.startswith(":")):
                name = re.sub(r".*<(.*)>", r"\1", line)
                base = CHECKOUT if name.startswith("/") else page.parent
                found |= {str(path.relative_to(CHECKOUT)) for path in base.glob(name.strip("/") + ".md")}
    return found


def test_the_site_lists_every_page():
    """All pages of docs/, all vignettes and all tables of studies are in the navigation."""
    wanted = {"docs": {"index"}, "vignettes": {"README"}, "benchmarks/results": set()}
    pages = {
        str(path.relative_to(CHECKOUT))
        for folder, without in wanted.items()
        for path in (CHECKOUT / folder).glob("*.md")
        if path.stem not in without
    }
    assert len(pages) > 50
    assert not pages - listed(), "name them in a toctree of docs/index.md"


def test_the_reference_lists_every_public_name():
    """docs/reference.md names what docs/stability.md promises, room by room."""
    room, named = "", {}
    for line in (CHECKOUT / "docs" / "reference.md").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            room = found[1]
        elif found := re.match(r" {3}([\w]+)$", line):
            named.setdefault(room, set()).add(found[1])
    promised = {
        room: {name.strip() for name in cells.replace("\\", "").replace("|", ",").split(",") if name.strip()}
        for room, cells in re.findall(
            r"^\| `(karat[\w.]*)` \|(.*)\|$", (CHECKOUT / "docs" / "stability.md").read_text(), flags=re.MULTILINE
        )
    }
    rooms = {room.rpartition(".")[2] for room in promised} | {"__version__"}
    assert promised["karat"] - rooms == named["karat"], "correct docs/reference.md"
    for room, names in promised.items():
        assert names - named["karat"] - rooms <= named[room] | named["karat"], f"correct docs/reference.md: {room}"
        assert named[room] <= names | promised["karat"]


def test_the_site_is_built_with_what_pyproject_and_constraints_name():
    extra = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["docs"]
    pinned = {line.partition("==")[0].lower() for line in (CHECKOUT / "constraints.txt").read_text().splitlines()}
    wanted = {re.split(r"[<>=\[]", name)[0].lower() for name in extra}
    assert {"sphinx", "myst-nb", "furo", "numpydoc", "sphinx-copybutton"} <= wanted
    assert wanted <= pinned | {"karat"}
