"""The README shows numbers that a recorded run gave, and commands that exist."""

import json
import re

import yaml

from condi_lib.runs import ROOT
from workflow.profile import FIGURE_FILES, ablation_files

SHOWN = ROOT / "figures" / "reference" / "planted" / "resnext14_small"


def test_the_readmes_table_is_the_summary_of_the_committed_figures():
    assert (SHOWN / "summary.md").read_text() in (ROOT / "README.md").read_text()


def test_every_committed_figure_is_there_with_the_reference_profiles_provenance():
    profile = yaml.safe_load((ROOT / "config" / "reference.yaml").read_text())
    for name in FIGURE_FILES + ablation_files(profile):
        assert (SHOWN / name).is_file()
        if name.endswith(".json"):
            found = json.loads((SHOWN / name).read_text())["provenance"]
            assert re.fullmatch(r"[0-9a-f]{40}", found["commit"]), "made from a clean commit"
            assert found["parameters"]["out"] == profile["out"]


def test_links_and_pictures_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
