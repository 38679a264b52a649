"""What stands around the code: the workflow of GitHub, the citation, the pages for contributors."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from condi_lib.runs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_workflow_runs_ci_on_the_oldest_python_meant():
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    assert job["steps"][-1]["run"] == ".ci/run" and (ROOT / ".ci/run").stat().st_mode & 0o100
    tried = [row["python"] for row in job["strategy"]["matrix"]["include"] if not row["untried"]]
    assert f">={tried[0]}" == PROJECT["requires-python"]


def test_the_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert "2109.02137" in citation["preferred-citation"]["url"]
    assert "2109.02137" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_files_that_the_pages_name_exist(name):
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    paths = re.findall(r"(?:condi_lib|tests|notebooks|config|docs)/[\w/.]*", text)
    for path in links + paths:
        assert (ROOT / path.rstrip(".")).exists(), path


def test_progress_is_a_widget_for_a_reader_and_a_line_in_logs():
    code = "from condi_lib.progress import tqdm; print(tqdm.__module__)"
    # tqdm.auto: widgets where IPython runs, else this
    for session, expected in (({}, "tqdm.std"), ({"JPY_SESSION_NAME": "05.ipynb"}, "tqdm.asyncio")):
        env = {name: value for name, value in os.environ.items() if name != "JPY_SESSION_NAME"} | session
        found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True)
        assert found.stdout.strip() == expected
