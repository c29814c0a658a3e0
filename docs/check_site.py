"""Follow every link within a built site: ``python docs/check_site.py docs/_build/site``. No network is needed.

Pages, pictures and anchors must be there, pictures must say what they show, and nothing may be loaded from elsewhere.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links, anchors, and pictures without a description."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors, self.silent = [], [], {"", "top"}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note what a tag points to and what points to it."""
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script", "iframe") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(given["href"])
        if tag == "img" and ((given.get("alt") or "").strip() in ("", given.get("src"))):
            self.silent.append(given.get("src"))


def faults(folder):
    """What is wrong with the pages of a folder, one line each."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        yield from (f"{name}: picture without a description: {source}" for source in page.silent)
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    yield f"{name}: loads {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.exists():
                yield f"{name}: {link} leads nowhere"
            elif anchors is not None and unquote(parts.fragment) not in anchors:
                yield f"{name}: {link} names no section"


if __name__ == "__main__":
    site = Path(sys.argv[1])
    found = sorted(set(faults(site)))
    print("\n".join(found) or f"{len(list(site.rglob('*.html')))} pages, all links lead somewhere: {site}/index.html")
    sys.exit(bool(found))
