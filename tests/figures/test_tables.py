import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import accuracies, detections, divisions

from condi_lib import figures
from condi_lib.figures.tables import PAGE, _width


@pytest.mark.parametrize(
    "arguments, options, text",
    [
        ((0.5, 0.25, 0.75), {}, "0.500 [0.250, 0.750]"),
        ((0.5, 0.25, 0.75), {"percent": True}, "50.0 [25.0, 75.0]"),
        ((-0.0004, -0.02, 0.01), {"percent": True, "signed": True}, "+0.0 [-2.0, +1.0]"),
        ((0.5,), {"digits": 1}, "0.5"),
        ((0.5, np.nan, np.nan), {}, "0.500"),
        ((np.nan, 0.1, 0.2), {}, ""),
        ((None,), {}, ""),
    ],
)
def test_a_value_with_its_interval(arguments, options, text):
    assert figures.shown(*arguments, **options) == text


@given(st.floats(-1, 1), st.floats(0, 1), st.booleans())
def test_what_is_shown_can_be_read_again(value, half, percent):
    numbers = re.findall(r"-?\d+\.\d+", figures.shown(value, value - half, value + half, percent=percent))
    scale, step = (100, 0.05) if percent else (1, 0.0005)
    assert [float(x) for x in numbers] == pytest.approx(
        [scale * x for x in (value, value - half, value + half)], abs=1.01 * step
    )
    assert "-0.0 " not in figures.shown(value, percent=True) + " "


def test_the_best_of_a_column_is_bold_and_what_cheats_never_is():
    table = pd.DataFrame(
        {
            "sampler": ["oracle (cheats)", "a <b>", "b"],
            "K = 1": ["90.0 [80.0, 95.0]", "70.0 [60.0, 80.0]", "65.0 [60.0, 70.0]"],
            "FPR": [np.nan, 0.5, 0.25],
            "other": [1.0, 2.0, 3.0],
            "videos": 50,
        }
    )
    page = figures.styled(table).to_html()
    assert re.findall(r"<b>(.*?)</b>", page) == ["70.0 [60.0, 80.0]", "0.25"]
    assert "AUROC within videos" in figures.styled(table.rename(columns={"other": "auroc_within"})).to_html()
    assert "a &lt;b&gt;" in page and "50 videos" in page and "nan" not in page
    assert 'class="row_heading' not in page  # no index
    assert figures.styled(table).to_html() == page  # the same every time
    assert re.findall(r"<b>(.*?)</b>", figures.styled(table, best={"other": "low"}).to_html()) == ["2"]
    assert "<table" in figures.styled(table.iloc[:0]).to_html()


def test_wide_tables_are_split_by_measure():
    table = figures.summary(accuracies(), detections())
    parts = figures.split_wide(table)
    assert len(parts) > 1 and all(sum(_width(part)) <= PAGE + 80 for part in parts)
    assert all(part.columns[0] == "sampler" and part.videos.iloc[0] == 50 for part in parts)
    measures = [c for part in parts for c in part if c not in ("sampler", "seeds", "videos")]
    assert measures == [c for c in table if c not in ("sampler", "seeds", "videos")]
    assert "dense" not in set(parts[-1].sampler)  # no detector
    assert figures.split_wide(table[["sampler", "K = 1"]])[0].equals(table[["sampler", "K = 1"]])


def test_a_cell_of_the_summary_is_its_accuracy():
    accuracy = accuracies(ks=(1, 5))
    table = figures.summary(accuracy, detections(["condi_sr"]), ks=(1, 5, 99)).set_index("sampler")
    row = accuracy[(accuracy.sampler == "st_ent") & (accuracy.k == 5)].iloc[0]
    assert table.loc["ST-Ent", "K = 5"].startswith(f"{100 * row.accuracy:.1f} [")
    assert table.loc["ST-Ent", "AUROC"] == "" and table.loc["ConDi-SR", "AUROC"] and "K = 99" not in table


def test_the_headline_has_six_lines_and_the_best_of_each_kind():
    accuracy = accuracies()
    accuracy.loc[accuracy.sampler == "equidistant", "accuracy"] = 0.95
    accuracy.loc[accuracy.sampler == "bce_c", "accuracy"] = 0.65
    table = figures.headline(accuracy, detections(), divisions())
    assert len(table) == 6
    assert "equidistant" in table.sampler[2] and "BCE-C" in table.sampler[3] and table.sampler[4] == "ConDi-SR"
    assert list(table["multiply-adds, K = 5"]) == ["100 %", "100 %", "42 %", "32 %", "32 %", "7 %"]
    few = figures.headline(accuracies(("dense", "condi_sr"), ks=(5,)), detections(["bce_c"]), divisions().iloc[:0])
    assert list(few.sampler) == ["dense: every clip", "ConDi-SR"]


def test_comparisons_show_points_and_what_remains_after_correction():
    rows = [("st_ent", "dense", 1, 0.012, 0.001, 0.02, 0.01), ("st_ent", "dense", 3, -0.002, -0.01, 0.005, 1.0)]
    table = pd.DataFrame(rows, columns=["sampler", "reference", "k", "difference", "low", "high", "p_holm"])
    found = figures.comparisons(table.assign(n_seeds=2, n_videos=50))
    assert list(found.iloc[0]) == ["ST-Ent", "+1.2 [+0.1, +2.0]*", "-0.2 [-1.0, +0.5]", 2, 50]


def test_parts_of_a_wide_table_are_of_a_size():
    table = pd.DataFrame({"sampler": ["a"], **{f"minus dense, K = {i}": ["-12.5 [-13.5, -11.6]*"] for i in range(8)}})
    assert [len(part.columns) - 1 for part in figures.split_wide(table)] == [4, 4]
