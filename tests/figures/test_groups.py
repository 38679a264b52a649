import matplotlib.pyplot as plt
import numpy as np
import pytest
from made import groups, overlaps, written

from condi_lib import figures

DRAWN = [figures.gains_by_group, figures.class_gains, figures.helped_and_hurt]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("gain", [0.0, 1e-17, -3e-18])
def test_what_does_not_differ_is_said_and_not_magnified(draw, gain):
    figure = draw(groups(gain=gain))
    said = written(figure)
    assert "no difference" in said and not any("e-" in text or "−1" in text and "1e" in text for text in said)
    assert all(np.ptp(axis.get_xlim()) >= 2 for axis in figure.axes if axis.axison)  # points


@pytest.mark.parametrize("draw", DRAWN)
def test_groups_that_differ_are_drawn_with_intervals(draw):
    figure = draw(groups())
    assert "no difference" not in written(figure)
    assert figure.axes[0].containers and not overlaps(figure.axes[0].get_yticklabels())


@pytest.mark.parametrize("draw", DRAWN)
def test_nothing_to_compare_is_no_figure(draw):
    assert draw(groups(ks=(1,))) is None  # not at this K
    assert draw(groups().iloc[:0]) is None
    assert draw(groups().assign(gain=np.nan)) is None
    assert draw(groups(names=("dense",))) is None


def test_class_gains_shows_both_ends_of_many_classes_sorted():
    figure = figures.class_gains(groups(classes=[f"class {i}" for i in range(101)]))
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    table = groups(classes=[f"class {i}" for i in range(101)])
    own = table[(table.k == 5) & (table.grouping == "class") & (table.sampler == "condi_sr")]
    best = own.sort_values("gain", ascending=False).group
    assert [row.split("  (")[0] for row in rows] == [*best[:12], *best[-12:]]
    assert "77 classes between" in written(figure) and figure.get_figheight() < 10
    assert len(figures.class_gains(groups(classes=["Up"])).axes[0].get_yticklabels()) == 1


def test_helped_is_right_of_zero_and_hurt_left():
    figure = figures.helped_and_hurt(groups(gain=-0.05))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert min(widths) == pytest.approx(-5) and max(widths) == pytest.approx(0)
    assert not any(text.startswith("−") for text in (t.get_text() for t in figure.axes[0].get_xticklabels()))
