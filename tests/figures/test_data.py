import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made import accuracies, names_of, overlaps, written

from condi_lib import figures


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def shares():
    rows = [("val", 0.4, 10, "split"), ("test", 0.5, 20, "split"), ("train", 0.3, 30, "split")]
    rows += [("clean", 0.2, 40, "what it shows"), ("cutaway", 0.99, 20, "what it shows")]
    return pd.DataFrame(rows, columns=["name", "wrong", "n_clips", "group"])


def test_label_shares_say_what_deceives_the_teacher_first():
    splits, kinds = figures.label_shares(shares()).axes
    assert [t.get_text() for t in splits.get_yticklabels()] == ["train", "val", "test"]
    assert [t.get_text() for t in kinds.get_yticklabels()] == ["cut-away", "clean"]
    assert [t.get_text() for t in kinds.texts] == ["99 %", "20 clips", "20 %", "40 clips"]
    assert [bar.get_width() for bar in kinds.patches] == pytest.approx([99, 20])
    assert kinds.patches[0].get_facecolor() != kinds.patches[1].get_facecolor()
    assert "z = 0" not in "".join(written(splits.figure) + [kinds.get_xlabel()])


def test_label_shares_of_one_split_and_of_nothing():
    assert len(figures.label_shares(shares().iloc[:1]).axes) == 1
    assert figures.label_shares(shares().assign(wrong=np.nan)) is None


def test_the_oracle_is_named_beside_its_line_and_its_lead_is_said():
    table = accuracies(("oracle",), gain=0.1).assign(dense=0.6)
    axis = figures.oracle_vs_dense(table).axes[0]
    assert len(names_of(axis)) == 4 and not overlaps(names_of(axis)) and axis.get_legend() is None
    assert "+10.0 points at K = 1" in written(axis.figure)
    level = figures.oracle_vs_dense(accuracies(("oracle",), ks=(1,), gain=0.0).assign(dense=0.6))
    assert not any("points at" in text for text in written(level))
    assert figures.oracle_vs_dense(table.iloc[:0]) is None


def test_histograms_go_up_where_the_teacher_is_right_and_down_where_it_is_wrong():
    bins = pd.DataFrame({"low": [0.0, 0.5], "high": [0.5, 1.0], "right": [0.2, 0.8], "wrong": [0.9, 0.1]})
    table = pd.concat([bins.assign(loss=name) for name in ("condi_sr", "teacher_max", "whatever")])
    figure = figures.confidence_histograms(table)
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "teacher's max. probability",
        "ConDi-SR",
        "whatever",
    ]
    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx([20, 80, -90, -10])
    assert figures.confidence_histograms(table.iloc[:0]) is None


@pytest.mark.parametrize("by", [None, "network"])
def test_training_curves_leave_out_what_is_missing(by):
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, np.nan, 1.0], "accuracy": [0.1, 0.2, 0.3]})
    loss, accuracy = figures.training_curves(history.assign(network="teacher"), by).axes
    assert list(loss.lines[0].get_xdata()) == [1, 3] and list(accuracy.lines[0].get_ydata()) == pytest.approx(
        [10, 20, 30]
    )
    assert bool(names_of(loss)) == (by is not None)
    assert figures.training_curves(history.iloc[:0], by) is None


def test_video_lengths_by_split_count_each_video_once():
    videos = pd.DataFrame({"split": ["train", "train", "test", "val"], "n_frames": [8, 9, 100, -1]})
    train, test = figures.video_lengths(videos, 8).axes
    assert train.get_title(loc="left") == "train: 2 videos" and test.get_title(loc="left") == "test: 1 videos"
    assert sum(bar.get_height() for bar in train.patches) == 2
    assert figures.video_lengths(videos.iloc[-1:], 8) is None
