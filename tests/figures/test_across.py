from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import run_notebook
from made import across, lines_of, written

from condi_lib import catalogue, figures, runs
from condi_lib.figures.across import CURVES, GROWING, STUDENTS

DRAWN = [figures.gains_at_cost, figures.recovered, figures.side_by_side, figures.when_choosing_pays]
DRAWN += [figures.learning_curves]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("draw", DRAWN)
def test_one_data_set_and_ten_can_be_drawn_and_none_is_nothing(draw):
    for n in (1, 10):
        names = tuple(f"data {i}" for i in range(n))
        figure = draw(across(names, ("dense", "oracle", "condi_sr", "st_ent"), teachers=("a", "b")[: 1 + (n == 1)]))
        assert not any("e-1" in text or "e+" in text for text in written(figure))
    assert draw(across().iloc[:0]) is None


def test_a_dot_is_the_gain_at_the_most_clips_that_the_budget_has_room_for():
    table = across(("one", "other"), ("dense", "oracle", "random", "teacher_max", "condi_sr"))
    figure = figures.gains_at_cost(table, budgets=(0.25, 0.5))
    for axis, k in zip(figure.axes, (1, 5), strict=True):  # 0.05 + k / 12: 0.13, 0.3, 0.47, 0.72
        dots = lines_of_axis(axis)
        assert set(dots) == {"random", "condi_sr"}  # the others see all clips, or cheat
        expected = table[(table["sampler"] == "condi_sr") & (table.k == k)].gain
        assert list(dots["condi_sr"].get_xdata()) == pytest.approx(list(100 * expected))
        assert [round(y) for y in dots["condi_sr"].get_ydata()] == [0, 1]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["one", "other"]


def lines_of_axis(axis):
    return {box.lines[0].get_gid(): box.lines[0] for box in axis.containers}


def test_rows_name_the_teacher_where_there_are_several():
    figure = figures.gains_at_cost(across(("one",), teachers=("a", "b")))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["one, a", "one, b"]


def test_what_is_not_known_of_any_data_set_says_so():
    figure = figures.recovered(across().assign(reachable=np.nan, reachable_low=np.nan, reachable_high=np.nan))
    assert "not known of these data sets" in written(figure)


def test_side_by_side_has_a_panel_a_data_set_and_names_every_line_once():
    table = across(("planted", "colour", "digit"))
    figure = figures.side_by_side(table[(table.data_set == "planted") | (table["sampler"] != "truth")])
    titles = [axis.get_title(loc="left") for axis in figure.axes[:3]]
    assert titles == [f"{name}: {n} % good clips" for name, n in (("planted", 90), ("colour", 50), ("digit", 10))]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(named) == len(set(named)) and set(named) == {figures.label(name) for name in (*CURVES, "dense")}
    assert len(lines_of(figure)["condi_sr"]) == 3 and len(lines_of(figure)["truth"]) == 1
    n = table.n_clips[table["sampler"] == "dense"].max()
    few = figures.side_by_side(table.assign(n_clips=np.where(table["sampler"] == "dense", 3.5, 1)))
    shown = [set(line.get_xdata()) for line in lines_of(few)["condi_sr"]]
    assert shown == [{k for k in table.k if k <= 4}] * 3 and n >= table.k.max()


def test_worlds_are_joined_by_their_share_of_good_clips_and_those_without_hard_videos_stand_apart():
    table = across(tuple("abcd"))
    table.loc[table.data_set == "c", "hard"] = 0.0
    figure = figures.when_choosing_pays(table, [(0.3, "GRID"), (np.nan, "nowhere")])
    lines = lines_of(figure)["condi_sr"]
    assert len(lines) == 6  # accuracy and gain at K = 1, 3, 5
    good = 100 * table.drop_duplicates("data_set").set_index("data_set").good
    for line in lines:
        assert list(line.get_xdata()) == pytest.approx(list(good[["d", "b", "a"]]))
    values = table[(table["sampler"] == "condi_sr") & (table.k == 3)].set_index("data_set").gain
    assert list(lines[4].get_ydata()) == pytest.approx(list(100 * values[["d", "b", "a"]]))
    assert "GRID" in written(figure) and "nowhere" not in written(figure)


def test_learning_curves_have_a_point_a_number_of_training_videos():
    table = across(tuple("abc"))
    lines = lines_of(figures.learning_curves(table))
    assert set(lines) == {"dense", *(name for name in GROWING if name in set(table["sampler"]))} >= {*STUDENTS}
    assert all(list(line.get_xdata()) == [500, 2000, 8000] for line in lines["condi_sr"])


def test_verdicts_are_a_column_a_data_set_in_the_order_of_the_claims():
    rows = [(c, d, "net", f"{c} of {d}", "") for d in ("b", "a") for c in ("second", "first")]
    table = pd.DataFrame(rows, columns=["claim", "data_set", "teacher", "verdict", "because"])
    found = figures.verdicts(table)
    assert found.to_dict("list") == {
        "claim": ["second", "first"],
        "b": ["second of b", "first of b"],
        "a": ["second of a", "first of a"],
    }


def pays(bad, bad_to, name="condi_sr", k=1):
    values = dict(bad=bad, bad_to=bad_to, gain=0.02, low=0.01, high=0.03, most=0.2, most_low=0.15, most_high=0.25)
    return {"sampler": name, "k": k, **values, "most_bad": 0.8, "hardest": 0.9, "n_worlds": 6}


@pytest.mark.parametrize(
    "rows, text",
    [
        (
            [pays(0.5, 0.9), pays(0.6, 0.9, "st_ent"), pays(0.1, 0.9, "truth")],
            "With one clip ConDi-SR beats dense from 50 % of bad clips on: by +2.0 [+1.0, +3.0] points at first, by "
            "+20.0 [+15.0, +25.0] at most (at 80 %).",
        ),
        ([pays(0.5, 0.8, k=3)], "With 3 clips ConDi-SR beats dense where 50 to 80 % of the clips are bad: by"),
        ([pays(np.nan, np.nan)], "With one clip no student is above dense in any of the 6 worlds."),
    ],
)
def test_the_finding_says_where_choosing_pays(rows, text):
    (found,) = figures.finding(pd.DataFrame(rows)).finding
    assert found.startswith(text)


def test_an_accuracy_of_dense_has_its_place_between_worlds():
    table = pd.DataFrame(
        {"data_set": list("abc"), "sampler": "dense", "accuracy": [0.2, 0.6, 0.8], "good": [0.1, 0.5, 0.9]}
    )
    assert figures.place_of(table, 0.7) == pytest.approx(0.7)
    assert np.isnan(figures.place_of(table, 0.9)) and np.isnan(figures.place_of(table.iloc[:0], 0.7))


def test_notebook_15_draws_and_tells_from_the_tables_and_says_how_to_make_them(tmp_path, capsys):
    options = {name: str(tmp_path / name / "across.csv") for name in ("pays", "learning", "grid", "reference")}
    options["figures_out"] = str(tmp_path / "figures")
    run_notebook("15_when_choosing_pays", **options)
    assert capsys.readouterr().out.count("not here yet: make reproduce PROFILE=") == 4
    assert not (tmp_path / "figures").exists()
    table = across(tuple("abcd"))
    table.loc[table.data_set == "d", "hard"] = 0.0
    tables = {"pays": table.assign(shows=0.5), "learning": across(tuple("abc")), "reference": across(("planted",))}
    for name, one in (tables | {"grid": across(("colour",))}).items():
        Path(options[name]).parent.mkdir()
        one.to_csv(options[name], index=False)
    for name in ("reference", "grid"):
        claims = pd.DataFrame({"claim": ["it holds"], "data_set": name, "teacher": "net", "verdict": "holds"})
        claims.to_csv(tmp_path / name / "claims.csv", index=False)
    run_notebook("15_when_choosing_pays", **options)
    out = capsys.readouterr().out
    assert "not here yet" not in out and "4 worlds, 3 with hard videos" in out
    assert out.count("as told True") == 3 and out.count("500 to 8000 videos") == 6
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    assert files == {file for name in catalogue.PAYS for file in catalogue.files(name)}
    for name in catalogue.PAYS:
        assert not runs.why_stale(tmp_path / "figures" / f"{name}.json")
    assert "| GRID, grid |" in (tmp_path / "figures" / "two_worlds_claims.md").read_text()
    Path(options["learning"]).write_text("other")
    assert "changed" in runs.why_stale(tmp_path / "figures" / "learning_curves.json")
    assert not runs.why_stale(tmp_path / "figures" / "when_choosing_pays.json")
