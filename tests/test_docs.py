"""Pages point to pages, sections and files that exist."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "vignettes/*.md", "data/*.md", "benchmarks/**/*.md", "tests/**/*.md")
    for path in CHECKOUT.glob(pattern)
)
LINK = re.compile(r"\]\(([^()\s]+)\)")
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
    import tomllib

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
