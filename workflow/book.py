"""make book: the executed notebooks of a profile as HTML chapters with a front page, viewable without a network."""

import base64
import html
import os
import re
import sys
from pathlib import Path

import mistune
import nbformat
import yaml
from jinja2 import DictLoader
from latex2mathml.converter import convert
from nbconvert import HTMLExporter

FRONT = ("inference", "accuracy_vs_k", "cost", "example")  # figures of the front page, where there are
TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block input %}<details class="code"><summary>code</summary>{{ super() }}</details>{% endblock input %}
"""
STYLE = """<style>
.steps {max-width: 60em; margin: 0.5em auto; padding: 0 1em; font: 14px sans-serif; display: flex; gap: 1em;
justify-content: space-between}
details.code > summary {cursor: pointer; color: #777; font: 12px sans-serif; padding: 2px 0}
body {margin: 0 auto}
.front {max-width: 60em; margin: 1em auto; padding: 0 1em; font: 16px/1.5 sans-serif; overflow-wrap: anywhere}
.front img {max-width: 100%} .front table {border-collapse: collapse; font-size: 12px; display: block; overflow-x: auto}
.front td, .front th {padding: 2px 8px; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap}
</style>"""
CLAIM = (
    "An expensive teacher need not see every clip of a video, because a cheap student learns on which clips the "
    "teacher will be right. These pages are one run of the study, with nothing left out."
)


def title_of(notebook):
    """The first heading of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.match(r"#\s+(.+)", cell.source)):
            return found[1].strip()
    return ""


def set_equations_aside(text, equations):
    """Markdown with a mark in the place of each equation ($...$, $$...$$), whose MathML joins `equations`.

    Browsers render MathML by themselves; the Markdown converter would take it apart. Code is left alone.
    """

    def mark(found):
        if found["code"]:
            return found[0]
        display = "inline" if found["block"] is None else "block"
        equations.append(convert(found["inline"] or found["block"], display=display))
        return f"EQUATION{len(equations) - 1}X"

    pattern = r"(?P<code>```.*?```|`[^`\n]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+(?:\n[^$\n]+)?)\$"
    return re.sub(pattern, mark, text, flags=re.DOTALL)


def chapters(out):
    """[[executed notebooks of a run, in reading order], ...]: those of its students after their 05's place."""
    runs = {}
    for path in Path(out).rglob("*.ipynb"):
        place = path.relative_to(out).parts[:2] if len(path.relative_to(out).parts) > 2 else ()
        runs.setdefault(place, []).append(path)
    return [sorted(paths, key=lambda path: (path.stem, str(path))) for _, paths in sorted(runs.items(), reverse=True)]


def page(notebook, exporter, names):
    """HTML of one notebook; links to notebooks become links to their pages, scripts from elsewhere are left out."""
    equations = []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "markdown"):
        cell.source = set_equations_aside(cell.source, equations)
    body, _ = exporter.from_notebook_node(notebook)
    body = re.sub(r"EQUATION(\d+)X", lambda found: equations[int(found[1])], body)
    body = re.sub(r"<script[^>]*\ssrc=[^>]*>\s*</script>", "", body)

    def link(found):
        name = found[1].split("/")[-1]
        return f'href="{names[name]}"' if name in names else "data-left-out"

    return re.sub(r'href="([^":]+)\.ipynb"', link, body)


def front(profile, config, links):
    """The front page: the claim, each run's summary and key figures, all chapters."""
    parts = [f"<h1>ConDi, profile {html.escape(profile)}</h1><p>{CLAIM}</p>"]
    shown = sorted({path.parent for path in Path(config["figures_out"]).rglob("summary.md")})
    for folder in shown:
        name = folder.relative_to(config["figures_out"])
        parts.append(f"<h2>{html.escape(str(name))}</h2>" + mistune.html((folder / "summary.md").read_text()))
        for figure in (folder / f"{one}.png" for one in FRONT):
            if figure.is_file():
                data = base64.b64encode(figure.read_bytes()).decode()
                parts.append(f'<p><img alt="{figure.stem}" src="data:image/png;base64,{data}"></p>')
    items = "\n".join(f'<li><a href="{html.escape(str(link))}">{html.escape(text)}</a></li>' for link, text in links)
    parts.append(f"<h2>Chapters</h2>\n<ul>\n{items}\n</ul>")
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>ConDi, profile {html.escape(profile)}</title>{STYLE}"
    )
    return f'{head}<body><div class="front">{"".join(parts)}</div></body></html>\n'


def steps(before, after, top):
    """Links to the pages before and after, and to the front page; each (address, title) or None."""
    texts = [
        f'<a href="{html.escape(one[0])}">{html.escape(text.format(one[1]))}</a>' if one else "<span></span>"
        for one, text in ((before, "← {}"), ((top, ""), "contents"), (after, "{} →"))
    ]
    return f'<div class="steps">{"".join(texts)}</div>'


def write_run(run, out, book, exporter):
    """Writes the chapters of one run below `book`; yields (page, title) of each."""
    read = {path: nbformat.read(path, 4) for path in run}
    targets = {path: (book / path.relative_to(out)).with_suffix(".html") for path in run}
    titles = {}
    for path in run:
        student = ", ".join(path.relative_to(out).parts[2:-1])
        titles[path] = (title_of(read[path]) or path.stem) + f" ({student})" * bool(student)
    first = {path.stem: path for path in reversed(run)}  # of several students'

    for before, path, after in zip([None, *run[:-1]], run, [*run[1:], None], strict=True):
        folder = targets[path].parent
        folder.mkdir(parents=True, exist_ok=True)
        to = {other: (os.path.relpath(targets[other], folder), titles[other]) for other in run}
        body = page(read[path], exporter, {stem: to[other][0] for stem, other in first.items()})
        bar = STYLE + steps(to.get(before), to.get(after), os.path.relpath(book / "index.html", folder))
        begin = re.search(r"<body[^>]*>", body).end()
        end = body.rindex("</body>")
        targets[path].write_text(body[:begin] + bar + body[begin:end] + bar + body[end:])
        print(f"  {targets[path]}")
        yield targets[path], titles[path]


def main(profile):
    config = yaml.safe_load(Path(profile).read_text())
    out, name = Path(config["out"]), Path(profile).stem
    found = chapters(out)
    if not found:
        sys.exit(f"{out} holds no executed notebook: run make reproduce PROFILE={name} first")
    book = Path("book") / name
    options = {"embed_images": True, "mathjax_url": "", "require_js_url": "", "jquery_url": ""}
    loaders = [DictLoader({"book.html.j2": TEMPLATE})]
    exporter = HTMLExporter(extra_loaders=loaders, template_file="book.html.j2", **options)
    links = []
    for run in found:
        place = "/".join(run[0].relative_to(out).parts[:-1][:2]) if len(found) > 1 else ""
        for target, title in write_run(run, out, book, exporter):
            links.append((target.relative_to(book), f"{title}, {place}" if place else title))
    (book / "index.html").write_text(front(name, config, links))
    print(f"{len(links)} pages; open {book}/index.html")


if __name__ == "__main__":
    main(sys.argv[1])
