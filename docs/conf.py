"""Settings of the documentation site: ``make docs`` builds it from the pages, vignettes and help texts into ``site/``.

The source folder is the checkout, so that links between pages work on the site as they do where the files are kept.
"""

import os
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import karat

project = "karat"
author = "The karat authors"
copyright = "The karat authors"
version = release = karat.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_copybutton"]
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/api/*.rst",
    "vignettes/*.md",
    "benchmarks/results/*.md",
    "data/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
exclude_patterns = [".*", "site", "src", "tests", "**/.ipynb_checkpoints", "vignettes/README.md"]
templates_path = [str(Path(__file__).parent / "templates")]

# Vignettes run when the site is built; what has not changed since comes from the cache.
nb_execution_mode = os.environ.get("KARAT_DOCS_EXECUTE", "cache")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_cache_path = str(Path(__file__).parent / "_build" / "notebooks")
nb_merge_streams = True
if nb_execution_mode == "off":
    suppress_warnings = ["misc.highlighting_failure"]  # lines for the shell are known as such after they ran
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # links to sections as the pages write them: #as-headings-read

# Help texts: types stand in them, so that signatures can stay short.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
numpydoc_show_class_members = False
html_math_renderer = "mathml"

html_theme = "furo"
html_title = "karat"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1b4f8f", "color-brand-content": "#1b4f8f"},
    "dark_css_variables": {"color-brand-primary": "#8ab8f0", "color-brand-content": "#8ab8f0"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

START = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>karat</title><meta http-equiv="refresh" content="0; url={0}">
<a href="{0}">karat</a></html>
"""


def visit_math(self, node):
    """Formulas as MathML, which browsers show without a script from elsewhere."""
    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def link_methods(app, what, name, thing, options, lines):
    """Turn "methods, section 4.2" in a help text into a link to that section."""
    anchors = app.karat_sections
    pattern = re.compile(r"(?<![\w/`])([Mm]ethods(?:\.md)?,? sections? )(\d+(?:\.\d+)*)")

    def linked(found):
        anchor = anchors.get(found[2])
        return f"`{found[0]} <../methods.html#{anchor}>`__" if anchor else found[0]

    lines[:] = [pattern.sub(linked, line) for line in lines]


def skip_foreign(app, what, name, thing, skip, options):
    """Leave out what a class has from scikit-learn, whose help texts lead to pages that are not here."""
    home = getattr(getattr(thing, "fget", None) or thing, "__module__", None)
    return True if str(home).startswith("sklearn") else None


def read_sections(app):
    """Anchors of the numbered sections of the methods page."""
    text = (Path(app.srcdir) / "docs" / "methods.md").read_text(encoding="utf-8")
    app.karat_sections = {
        number: re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading, number in re.findall(r"^##+ (([\d.]*\d)\.? .+)$", text, flags=re.MULTILINE)
    }


def describe_pictures(app, doctree):
    """Give pictures that code draws the description in the comment before it, ``<!-- alt: ... -->``."""
    said = ""
    for node in doctree.findall():
        if isinstance(node, (nodes.raw, nodes.comment)):
            found = re.search(r"alt: (.*?)(?:-->|$)", node.astext(), re.DOTALL)
            said = " ".join(found[1].split()) if found else said
        elif isinstance(node, nodes.section):
            said = ""
        elif isinstance(node, nodes.image) and said:
            node.setdefault("alt", said)


def say_not_run(app, doctree):
    """Where vignettes did not run, their pages say so, rather than leave readers to look for the output."""
    title = next(doctree.findall(nodes.title), None)
    if nb_execution_mode == "off" and app.env.docname.startswith("vignettes/") and title is not None:
        words = "This copy was built without running the code: results and pictures are missing; make docs runs it."
        title.parent.insert(1, nodes.note("", nodes.paragraph(text=words)))


def write_start(app, failure):
    """The first page of the folder leads to the home page."""
    if failure is None and app.builder.format == "html":
        (Path(app.outdir) / "index.html").write_text(START.format(root_doc + ".html"), encoding="utf-8")


def setup(app):
    """Wire the functions above into the build."""
    app.add_html_math_renderer("mathml", inline_renderers=(visit_math, None), block_renderers=(visit_math, None))
    app.connect("builder-inited", read_sections)
    app.connect("autodoc-process-docstring", link_methods, priority=900)
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("doctree-read", describe_pictures)
    app.connect("doctree-read", say_not_run)
    app.connect("build-finished", write_start)
