"""What the notebooks' texts claim, asked of their stored outputs and of the reference study's tables."""

import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from condi_lib.runs import ROOT

REFERENCE = ROOT / "figures" / "reference" / "planted" / "resnext14_small"


class Cells(HTMLParser):
    """The rows of an HTML table."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.inside = tag in ("td", "th") or (self.inside and tag not in ("tr", "table"))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data.strip()


def outputs(notebook, cell):
    """(all that a cell printed, [its tables as DataFrames of text])."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    found = next(one for one in cells if one["id"] == cell)["outputs"]
    printed = "".join("".join(one.get("text", "")) for one in found)
    pages = ["".join(one["data"]["text/html"]) for one in found if "text/html" in one.get("data", {})]
    tables = []
    for page in pages:
        head, *rows = [row for row in Cells(re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL)).rows if row]
        tables.append(pd.DataFrame([row for row in rows if len(row) == len(head)], columns=head))
    return printed, tables


def number(text):
    return float(re.match(r"[+-]?[\d.]+", text)[0])


def interval(text):
    """(low, high) of "x [low, high]"."""
    return tuple(map(float, re.search(r"\[([^,]+), ([^\]]+)\]", text).groups()))


def test_cut_aways_are_the_most_wrong():
    _, (table,) = outputs("03_teacher_labels", "03-09")
    shows = table[(table.group == "what it shows") & (table.n_clips.map(number) >= 30)]
    wrong = shows.set_index("name").wrong.map(number)
    assert wrong.idxmax() == "cutaway" and wrong["cutaway"] > 2 * wrong["clean"]
    shares = pd.read_csv(REFERENCE / "label_shares.csv").set_index("name").wrong
    assert shares["cutaway"] > 2 * shares["clean"]


def test_the_teacher_is_surer_where_it_is_right_and_sure_where_it_is_wrong():
    printed, _ = outputs("03_teacher_labels", "03-09")
    right, wrong = (float(re.search(rf"{name}: ([\d.]+)", printed)[1]) for name in ("right", "wrong"))
    assert 0.5 < wrong < right


def test_the_oracle_is_above_dense():
    printed, (table,) = outputs("04_oracle", "04-06")
    dense = float(re.search(r"dense: ([\d.]+) here", printed)[1])
    assert interval(table.oracle[table.K == "1"].iloc[0])[0] > dense
    reference = pd.read_csv(REFERENCE / "oracle.csv")
    assert (reference.gain_low[reference.k <= 5] > 0).all()


@pytest.mark.parametrize("sampler", ["ConDi-SR", "teacher's max. probability"])
def test_detectors_are_better_than_chance(sampler):
    _, tables = outputs("07_fpr_fnr", "07-05")
    table = next(one for one in tables if "AUROC" in one).set_index("sampler")
    for name in ("AUROC", "AUROC within videos"):
        assert number(table.loc[sampler, name]) > 0.5
    reference = pd.read_csv(REFERENCE / "detection.csv").set_index("sampler")
    assert all(interval(text)[0] > 0.5 for text in reference.auroc)


def test_who_knows_the_video_alone_knows_nothing_within_it():
    printed, _ = outputs("07_fpr_fnr", "07-14")
    over_all, within = (float(re.search(rf"([\d.]+) {name}", printed)[1]) for name in ("over all", "within"))
    assert over_all > 0.7 and within == pytest.approx(0.5, abs=0.02)


def test_cut_aways_stand_lowest_in_the_students_rankings():
    standing = pd.read_csv(REFERENCE / "confidence_by_kind.csv")
    for name, own in standing[standing.n_clips >= 300].groupby("sampler"):
        if name == "condi_sr":
            assert own.set_index("kind").standing["cutaway"] < own.set_index("kind").standing["clean"], name


@pytest.mark.parametrize("sampler", ["dense", "oracle (cheats)", "ConDi-SR"])
def test_the_tiny_profile_stands_where_the_quick_one_does(sampler):
    _, tables = outputs("06_sampling", "06-06")
    tiny = tables[0].set_index("sampler")
    lines = (ROOT / "figures/quick/planted/resnext14_small/summary.md").read_text().splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    quick = pd.DataFrame(rows, columns=head).set_index("sampler")
    for k in ("K = 1", "K = 5"):
        (low, high), (other_low, other_high) = (interval(table.loc[sampler, k]) for table in (tiny, quick))
        assert low <= other_high and other_low <= high


def test_one_random_clip_is_far_below_dense():
    table = pd.read_csv(REFERENCE / "accuracy_vs_k.csv")
    first = table[(table.sampler == "random") & (table.k == 1)].iloc[0]
    assert first.gain_high < 0


def test_the_parser_reads_a_table():
    (rows,) = [Cells("<table><tr><th>a</th><th></th></tr><tr><td>1 <b>x</b></td><td>2</td></tr></table>").rows]
    assert rows == [["a", ""], ["1x", "2"]] or rows == [["a", ""], ["1 x", "2"]]
