"""The README shows numbers that a recorded run gave, and commands that exist."""

import json
import re

import pandas as pd

from condi_lib import catalogue
from condi_lib.runs import ROOT

SHOWN = ROOT / "figures" / "reference" / "planted" / "resnext14_small"


def rows_of(text):
    """{first cell: {column: cell}} of the first table of a Markdown text that has a column AUROC."""
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("|") and "AUROC" in line)
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines[head:] if line.startswith("|")]
    n = next((i for i, line in enumerate(lines[head:]) if not line.startswith("|")), len(cells))
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:n]}


def test_the_readmes_numbers_are_the_summarys_of_the_committed_figures():
    found, summary = rows_of((ROOT / "README.md").read_text()), rows_of((SHOWN / "summary.md").read_text())
    assert len(found) == 6 and "ConDi-SR" in found
    for name, row in found.items():
        assert row.items() <= summary[name].items(), name
    assert (SHOWN / "summary.md").read_text() in (ROOT / "docs" / "results.md").read_text()


def test_the_readmes_sentence_on_when_choosing_pays_is_the_findings():
    found = pd.read_csv(ROOT / "figures" / "pays" / "finding.csv").set_index("k").finding
    assert found[3] in (ROOT / "README.md").read_text()


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) < 1000


def test_every_committed_figure_has_its_files_and_the_provenance_of_a_clean_commit():
    names = [path.stem for path in SHOWN.glob("*.json")]
    assert len(names) > 20
    for name in names:
        assert all((SHOWN / file).is_file() for file in catalogue.files(name)), name
        commit = json.loads((SHOWN / f"{name}.json").read_text())["provenance"]["commit"]
        assert re.fullmatch(r"[0-9a-f]{40}", commit), "made from a clean commit"


def test_links_and_pictures_of_all_pages_exist():
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "start.ipynb"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)
