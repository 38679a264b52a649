"""make book: the executed notebooks of a profile as HTML pages with an index, viewable without a network."""

import html
import re
import sys
from pathlib import Path

import nbformat
import yaml
from nbconvert import HTMLExporter


def executed(out):
    """The executed notebooks below a profile's folder, those of single students after the others."""
    return sorted(Path(out).rglob("*.ipynb"), key=lambda path: (len(path.parts), str(path)))


def page(notebook, exporter, names):
    """HTML of one notebook; links to notebooks become links to their pages, scripts from elsewhere are left out."""
    body, _ = exporter.from_notebook_node(nbformat.read(notebook, 4), {"metadata": {"name": Path(notebook).stem}})
    body = re.sub(r"<script[^>]*\ssrc=[^>]*>\s*</script>", "", body)
    return re.sub(r'href="([^"/]+)\.ipynb"', lambda m: f'href="{m[1]}.html"' if m[1] in names else m[0], body)


def main(profile):
    config = yaml.safe_load(Path(profile).read_text())
    out = Path(config["out"])
    found = executed(out)
    if not found:
        sys.exit(f"{out} holds no executed notebook: run make reproduce PROFILE={Path(profile).stem} first")
    book = Path("book") / Path(profile).stem
    exporter = HTMLExporter(embed_images=True, mathjax_url="", require_js_url="", jquery_url="")
    links = []
    for notebook in found:
        target = (book / notebook.relative_to(out)).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        siblings = {path.stem for path in notebook.parent.glob("*.ipynb")}
        target.write_text(page(notebook, exporter, siblings))
        links.append(target.relative_to(book))
        print(f"  {target}")
    names = [(html.escape(str(link)), html.escape(str(link.with_suffix("")))) for link in links]
    items = "\n".join(f'<li><a href="{link}">{name}</a></li>' for link, name in names)
    title = f"ConDi, profile {Path(profile).stem}"
    (book / "index.html").write_text(
        f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>\n<ul>\n{items}\n</ul>\n"
    )
    print(f"{len(links)} pages; open {book}/index.html")


if __name__ == "__main__":
    main(sys.argv[1])
