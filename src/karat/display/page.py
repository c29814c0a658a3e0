"""A report as one HTML page that needs nothing else: light and dark, on a phone and on paper."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._core.optional import optional

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --soft: #5b5b5b; --line: #d5d5d5; --band: #f5f5f2;
  --ok: #2c6b3f; --look: #8a5800; --problem: #b2182b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e3; --paper: #16181b; --soft: #a9a9a5; --line: #3d4045; --band: #202327;
    --ok: #7fcf97; --look: #e3b05c; --problem: #ff8a8a; } }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 56rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); }
nav a { margin-right: .9rem; white-space: nowrap; } a { color: inherit; }
.soft, caption, figcaption { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .18rem .7rem; text-align: right; vertical-align: top; white-space: nowrap; }
th[scope=row], td.text, th.text { text-align: left; } tbody th { font-weight: normal; }
thead th { border-bottom: 1px solid var(--ink); vertical-align: bottom; }
table.karat, table.data { border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink); }
tr.first > * { border-top: 1px solid var(--ink); }
td.wrap { white-space: normal; text-align: left; min-width: 14rem; }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }
figcaption { font-size: .9rem; }
.ok { color: var(--ok); } .look, .unknown { color: var(--look); } .problem { color: var(--problem); font-weight: bold; }
.paste { background: var(--band); padding: .2rem 1rem; border-left: 3px solid var(--line); }
.paste li { margin: .3rem 0; } code { font-size: .9em; overflow-wrap: anywhere; }
@media (max-width: 40rem) { th, td { padding: .18rem .4rem; } th[scope=row] { white-space: normal; }
  td.wrap { min-width: 9rem; } }
@media print { :root { --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --band: #fff; --ok: #1d5a30;
    --look: #6f4700; --problem: #9b1020; } nav { display: none; } body { max-width: none; padding: 0; font-size: 10pt; }
  h2 { break-after: avoid; } figure, tr { break-inside: avoid; } .scroll { overflow: visible; }
  th, td { padding: .12rem .4rem; } }
@page { margin: 18mm; }
</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p class="soft">{{ subtitle }}</p>
<nav aria-label="Sections">{% for part in parts %}<a href="#s{{ loop.index }}">{{ part.heading }}</a> {% endfor %}</nav>
</header>
<main>
{% for part in parts %}
<section id="s{{ loop.index }}">
<h2>{{ part.heading }}</h2>
{% for block in part.blocks %}
{% if block.kind == "text" %}{% for line in block.lines %}<p>{{ line }}</p>
{% endfor %}
{% elif block.kind == "html" %}<div class="scroll">{{ block.html | safe }}</div>
{% elif block.kind == "facts" %}<div class="scroll"><table>{% for name, value in block.lines %}
<tr><th scope="row">{{ name }}</th><td class="wrap">{{ value }}</td></tr>{% endfor %}</table></div>
{% elif block.kind == "checks" %}<div class="scroll"><table class="data"><thead><tr>
<th class="text" scope="col">Check</th>
<th class="text" scope="col">Verdict</th><th class="text" scope="col">Found</th></tr></thead><tbody>
{% for f in block.lines %}<tr><th scope="row">{{ f.check }}</th><td class="text {{ f.verdict }}">{{ f.verdict }}</td>
<td class="wrap">{{ f.found }}{% if f.advice and f.verdict != "ok" %}<br>
<b>To correct:</b> {{ f.advice }}{% endif %}</td></tr>
{% endfor %}</tbody></table></div>
{% elif block.kind == "picture" %}<figure><img src="{{ block.html }}" alt="{{ block.alt }}">
<figcaption>{{ block.lines[0] }}</figcaption></figure>
{% elif block.kind == "paste" %}<div class="paste">{% for line in block.lines %}<p>{{ line }}</p>
{% endfor %}</div>
{% elif block.kind == "list" %}<div class="paste"><ul>{% for line in block.lines %}<li>{{ line }}</li>
{% endfor %}</ul></div>
{% endif %}
{% endfor %}
</section>
{% endfor %}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Block:
    """A piece of a section: text, HTML, facts, checks, a picture, text to paste, or a list."""

    kind: str
    lines: Sequence[Any] = ()
    html: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Part:
    """A section."""

    heading: str
    blocks: Sequence[Block]


def page(title: str, subtitle: str, parts: Sequence[Part]) -> str:
    """The whole page; all texts are escaped, ``html`` blocks are HTML already.

    Raises
    ------
    KaratError
        If Jinja2 is not installed.

    Examples
    --------
    >>> "a &lt; b" in page("a < b", "", [Part("One", [Block("text", ["a < b"])])])
    True
    """
    jinja2 = optional("jinja2", "reports", "jinja2", "Jinja2")
    made = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)
    return str(made.render(title=title, subtitle=subtitle, parts=parts))


def picture_block(draw: Callable[[Any], Any], size: tuple[float, float], caption: str, alt: str) -> Block:
    """A plot as an image within the page: ``draw(axes)`` draws it; its legend is set below.

    Without matplotlib, a sentence that says how to install it.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        return Block("text", ["Plots are left out: matplotlib is not installed (pip install 'karat[plot]')."])
    options: Mapping[str, Any] = {"svg.hashsalt": "karat", "svg.fonttype": "path"}
    with matplotlib.rc_context(dict(options)):
        figure, buffer = Figure(figsize=size, layout="constrained"), io.BytesIO()
        axes = figure.subplots()
        draw(axes)
        if (legend := axes.get_legend()) is not None:
            handles, names = axes.get_legend_handles_labels()
            legend.remove()
            figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 3), frameon=False)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Block("picture", [caption], f"data:image/svg+xml;base64,{data}", alt)
