"""The README shows numbers that a recorded run gave, and commands that exist."""

import json
import re

from condi_lib import catalogue
from condi_lib.runs import ROOT

SHOWN = ROOT / "figures" / "reference" / "planted" / "resnext14_small"


def test_the_readmes_table_is_the_summary_of_the_committed_figures():
    assert (SHOWN / "summary.md").read_text() in (ROOT / "README.md").read_text()


def test_every_committed_figure_has_its_files_and_the_provenance_of_a_clean_commit():
    names = [path.stem for path in SHOWN.glob("*.json")]
    assert len(names) > 20
    for name in names:
        assert all((SHOWN / file).is_file() for file in catalogue.files(name)), name
        commit = json.loads((SHOWN / f"{name}.json").read_text())["provenance"]["commit"]
        assert re.fullmatch(r"[0-9a-f]{40}", commit), "made from a clean commit"


def test_links_and_pictures_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
