import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made import overlaps

from condi_lib import figures


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def example(n=7):
    rng = np.random.default_rng(0)
    images = [np.full(4 * 4 * 3, 20 * i, np.uint8) for i in range(n)]
    table = pd.DataFrame(
        {"video": "v", "clip": range(n), "kind": "clean", "image": images, "correct": rng.random(n) < 0.5}
    )
    table = table.assign(teacher_true=rng.random(n) / 2, teacher_max=0.5 + rng.random(n) / 2)
    for name in ("condi_sr", "teacher_max"):
        table[f"standing_{name}"] = rng.permutation(n) / max(1, n - 1)
    return table


def test_the_first_clips_of_each_sampler_are_numbered():
    table = example()
    order = figures.example_video(table, k=3).axes[2]
    assert [t.get_text() for t in order.get_yticklabels()] == ["teacher's max. probability", "ConDi-SR"]
    own = {round(t.get_position()[0]): int(t.get_text()) for t in order.texts if t.get_position()[1] > 1}
    first = table.standing_condi_sr.to_numpy().argsort()[::-1][:3]
    assert own == {int(clip): place + 1 for place, clip in enumerate(first)}
    assert not overlaps(order.get_xticklabels())


def test_bars_are_the_teachers_largest_probability_by_right_and_wrong():
    table = example()
    bars = figures.example_video(table).axes[1]
    right, wrong = ([bar.get_height() for bar in container] for container in bars.containers)
    assert right == pytest.approx(table.teacher_max[table.correct].tolist())
    assert wrong == pytest.approx(table.teacher_max[~table.correct].tolist())


def test_one_clip_no_sampler_and_nothing():
    assert len(figures.example_video(example(1)).axes) == 3
    bare = example().drop(columns=["standing_condi_sr", "standing_teacher_max"])
    assert len(figures.example_video(bare).axes) == 2
    assert figures.example_video(bare.iloc[:0]) is None


def test_the_shown_frames_are_the_clips():
    strip = figures.example_video(example()).axes[0]
    assert [int(image.get_array()[0, 0, 0]) for image in strip.images] == [20 * i for i in range(7)]


@pytest.mark.parametrize("high, wide, n", [(4, 8, 7), (9, 3, 7), (4, 4, 1), (4, 4, 60)])
def test_frames_keep_their_shape_inside_their_clip(high, wide, n):
    table = pd.DataFrame({"clip": range(n), "confidence": 0.5, "image": [np.zeros((high, wide, 3), np.uint8)] * n})
    figure = figures.video_view(table)
    figure.canvas.draw()
    strip = figure.axes[0]
    for i, image in enumerate(strip.images):
        x0, x1, y0, y1 = image.get_extent()
        assert i - 0.5 < x0 < x1 < i + 0.5 and 0 <= y0 < y1 <= 0.96
        (left, low), (right, top) = strip.transData.transform([(x0, y0), (x1, y1)])
        assert (right - left) / (top - low) == pytest.approx(wide / high, rel=0.02)
    assert strip.get_xlim() == (-0.5, n - 0.5) and len(strip.images) == n


def test_video_view_without_pictures_and_with_choices():
    table = pd.DataFrame({"clip": range(5), "confidence": 0.5})
    axes = figures.video_view(table, {"K = 2": np.arange(5) < 2}).axes
    assert len(axes) == 2 and axes[0].get_xlim() == (-0.5, 4.5)
    assert axes[1].images[0].get_array().tolist() == [[1, 1, 0, 0, 0]]


def test_video_view_of_a_known_video_has_the_teachers_bars():
    table = example().assign(confidence=0.5, image=[np.zeros((6, 8, 3), np.uint8)] * 7)
    strip, bars, line = figures.video_view(table).axes
    assert len(strip.images) == 7 and len(bars.patches) == 7 and list(line.lines[0].get_ydata()) == [0.5] * 7
