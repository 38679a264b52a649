import numpy as np
import pandas as pd
import pytest
from conftest import make_clips, make_study
from test_accuracy import place_by_hand

from condi_lib import evaluation, sampler
from condi_lib.sampler import clip_arrays


def test_standing_is_the_share_of_the_other_clips_that_a_clip_stands_above():
    arrays = clip_arrays(make_clips(4, 8))
    score = np.random.default_rng(0).integers(-2, 3, arrays.mask.shape).astype(float)  # with ties
    found = evaluation.standing(arrays, score)
    assert {1, 7} <= set(arrays.mask.sum(1))
    for v, n in enumerate(arrays.mask.sum(1)):
        for i, own in enumerate(score[v, :n]):
            others = np.delete(score[v, :n], i)
            expected = np.mean((others < own) + (others == own) / 2) if n > 1 else 0.5
            assert found[v, i] == pytest.approx(expected)
        assert not found[v, n:].any()


def test_standing_by_kind_is_the_mean_over_clips():
    clips, scores = make_study(2, 30)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    kinds = sampler.pad(np.random.default_rng(0).choice(["clean", "dark", "mixed"], test.mask.sum()), test.mask)
    table = evaluation.standing_by_kind("condi_sr", arrays, kinds)
    assert list(table.kind) == ["clean", "dark", "mixed"] and table.n_clips.sum() == test.mask.sum()
    for row in table.itertuples():
        each = [evaluation.standing(t, t.score)[kinds == row.kind].mean() for t in arrays["condi_sr"]]
        assert row.standing == pytest.approx(np.mean(each)) and row.low <= row.standing <= row.high


def test_the_example_is_a_video_that_condi_sr_wins():
    clips, scores = make_study(9, 80)
    arrays = sampler.read_arrays(clips, scores)
    table = evaluation.example_table(arrays, k=1)
    rows = clips[clips.video == table.video[0]].sort_values("clip")
    own = scores["condi_sr"][0].loc[rows.index].score.to_numpy()
    assert place_by_hand(rows, np.argsort(-own, kind="stable"), 1) == 0 != place_by_hand(rows, range(len(rows)), 99)
    assert len(table) == len(rows) and table.won.all() and (table.correct == rows.correct.to_numpy()).all()
    assert table.standing_condi_sr.iloc[int(own.argmax())] == 1


def test_clip_kinds_are_pure_or_mixed():
    clips = pd.DataFrame({"video": ["a", "a", "b"], "clip": [0, 1, 0]}, index=[7, 8, 9])
    truth = pd.DataFrame(
        {"video": ["a"] * 6 + ["b"] * 2, "frame": [*range(6), 0, 1], "kind": ["clean"] * 5 + ["dark"] + ["noise"] * 2}
    )
    assert evaluation.clip_kinds(clips, truth, 4).to_dict() == {7: "clean", 8: "mixed", 9: "noise"}


def test_the_truth_of_a_clip_is_the_share_of_its_frames_that_show_the_class():
    clips = pd.DataFrame({"video": ["a", "a", "b"], "clip": [0, 1, 0]}, index=[7, 8, 9])
    shown = pd.DataFrame({"video": ["a"] * 6 + ["b"] * 2, "frame": [*range(6), 0, 1]}).assign(
        shows=[True] * 3 + [False] * 2 + [True] + [False] * 2, kind="word"
    )
    shuffled = shown.sample(frac=1, random_state=0)
    found = evaluation.with_truth(clips, shuffled, 4)
    assert found.shows.to_dict() == {7: 0.75, 8: 0.5, 9: 0.0} and found.shows.dtype == np.float32
    assert evaluation.with_truth(clips, None, 4) is clips
    with pytest.raises(ValueError, match="truth: knows no frame of clip 0 of b"):
        evaluation.with_truth(clips, shown[shown.video == "a"], 4)


def test_kinds_that_show_the_class_come_first_and_mixed_ones_last():
    clips, scores = make_study(2, 30)
    names = np.array(["silence", "other", "word", "mixed"])[np.arange(len(clips)) % 4]
    shows = pd.Series(names).map({"silence": 0.0, "other": 0.1, "word": 1.0, "mixed": 0.5})
    arrays = sampler.read_arrays(clips.assign(shows=shows.to_numpy()), scores)
    rows = clips.assign(kind=names)[clips.split == "test"].sort_values(["video", "clip"])
    kinds = sampler.pad(rows.kind.to_numpy(str), arrays[""][0].mask)
    table = evaluation.standing_by_kind("condi_sr", arrays, kinds, 20)
    assert list(table.kind) == ["word", "other", "silence", "mixed"] and table.n_clips.sum() == len(rows)


def test_videos_are_grouped_by_what_was_planted():
    clips, _ = make_study(0, 9)
    test = clip_arrays(clips[clips.split == "test"])
    videos = pd.DataFrame({"video": test.videos, "class_name": [f"c{i}" for i in test.labels]})
    truth = pd.DataFrame(
        [(v, f, "dark" if f < i else "clean", 0.8 * (i % 3 == 0)) for i, v in enumerate(test.videos) for f in range(9)],
        columns=["video", "frame", "kind", "blend"],
    ).assign(shows=lambda t: t.kind == "clean")
    groups = evaluation.video_groups(test, videos, truth)
    assert list(groups["ambiguous frames"]) == ["fewest"] * 3 + ["some"] * 3 + ["most"] * 3
    assert list(groups["motion"]) == ["hard", "typical", "typical"] * 3
    assert list(groups["class"]) == list(videos.class_name)
    assert set(evaluation.video_groups(test, videos)) == {"length", "class"}
