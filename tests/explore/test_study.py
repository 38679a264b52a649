"""The explorer's numbers against evaluation's, on a small run written here."""

import os

import numpy as np
import pytest
from small_run import make_run

from condi_lib import evaluation, explore, runs, sampler


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return explore.read_study(make_run(tmp_path_factory.mktemp("study")))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(("k", "k_student"), [(1, 0), (3, 2), (4, 4), (9, 3)])
def test_the_sliders_show_what_evaluation_says(study, split, k, k_student):
    found = study.at(split, k, k_student)
    arrays = study.arrays(split)
    one = arrays["condi_sr"][0]
    rows = evaluation.division([one], [k]).set_index("k_student")
    assert found["accuracy"] == pytest.approx(rows.accuracy[k_student])
    assert found["dense"] == evaluation.dense_right(one).mean()
    n, seen = one.mask.sum(1).mean(), rows.n_clips[k_student]
    assert found["multiply_adds"] == pytest.approx(7 * n + 100 * seen)
    assert found["multiply_adds_of_dense"] == pytest.approx((7 * n + 100 * seen) / (100 * n))
    assert found["seconds"] == pytest.approx(3e-3 * n + 5e-3 * seen)
    assert found["seconds_of_dense"] == pytest.approx((3e-3 * n + 5e-3 * seen) / (7e-3 * n))
    np.testing.assert_allclose(found["probs"].sum(1), 1)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_each_sampler_keeps_and_answers_as_in_evaluation(study, k):
    arrays = study.arrays("test")
    test = arrays[""][0]
    for name in study.samplers():
        if name == "random":
            continue
        weights = sampler.keep(name, arrays)[0]
        np.testing.assert_allclose(study.kept("test", name, k), weights(k), err_msg=name)
        right = evaluation.outcomes(test, weights, [k]).right[0, 0]
        at = study.at("test", k, name=name)
        np.testing.assert_array_equal(at["right"], right > 0, name)
        for v, video in enumerate(test.videos):
            row = next(row for row in explore.answers(study, "test", video, k) if row["name"] == name)
            assert row["right"] == at["right"][v], (name, video)
            assert [cell != "" for cell in row["cells"]] == (weights(k)[v] > 0)[test.mask[v]].tolist(), (name, video)
            assert row["probability"] == pytest.approx(at["probs"][v].max())


def test_dense_costs_itself_and_a_sampler_that_cheats_no_less(study):
    assert study.at("test", 3, name="dense")["multiply_adds_of_dense"] == 1
    assert study.at("test", 3, name="dense")["seconds_of_dense"] == 1
    assert study.at("test", 3, name="oracle")["multiply_adds_of_dense"] == 1
    n = study.table("test").mask.sum(1).mean()
    assert study.at("test", 1, name="mc_dropout")["multiply_adds"] == pytest.approx(
        7 * n * sampler.SAMPLERS["mc_dropout"].passes + 100
    )


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize(
    ("first", "second"), [("condi_sr", "dense"), ("st_ent", "condi_sr"), ("oracle", "equidistant")]
)
def test_filters_pick_what_they_say(study, k, first, second):
    test = study.table("test")
    one, other = (study.at("test", k, name=name)["right"] for name in (first, second))
    expected = {
        0: np.ones_like(one),
        1: one & ~other,
        2: other & ~one,
        3: one & other,
        4: ~one & ~other,
    }
    known = explore.filters(first, second)
    for i, show in enumerate(known):
        picked = study.pick("test", show, k, first=first, second=second)
        assert picked == [str(v) for v in test.videos[expected[i]]], show


def test_the_filters_behind_a_figures_group(study):
    """What helped and hurt: by_group counts the videos that the filters list."""
    arrays = study.arrays("test")
    test = arrays[""][0]
    dense = evaluation.dense_right(test)
    groups = study.groups("test")
    found = {"condi_sr": evaluation.outcomes(test, sampler.keep("condi_sr", arrays), [2])}
    table = evaluation.by_group(found, groups, dense)
    for row in table.itertuples():
        for show, share in (("only ConDi-SR correct", row.helped), ("only dense correct", row.hurt)):
            videos = study.pick("test", show, 2, **{row.grouping: row.group})
            assert len(videos) == pytest.approx(share * row.n_videos), (row.grouping, row.group, show)


def test_orders(study):
    test = study.table("test")
    lengths = dict(zip(test.videos, test.mask.sum(1), strict=True))
    in_order = [lengths[v] for v in study.pick("test", order="longest")]
    assert in_order == sorted(in_order, reverse=True)
    one, other = (study.at("test", 2, name=name)["probs"] for name in ("condi_sr", "dense"))
    gain = {
        v: one[i, label] - other[i, label] for i, (v, label) in enumerate(zip(test.videos, test.labels, strict=True))
    }
    in_order = [gain[v] for v in study.pick("test", k=2, order="gain")]
    assert in_order == sorted(in_order, reverse=True) and in_order[0] > in_order[-1]
    score = study.arrays("test")["condi_sr"][0].confidence
    kept = study.kept("test", "condi_sr", 2)
    mean = {v: score[i][kept[i]].mean() for i, v in enumerate(test.videos)}
    in_order = [mean[v] for v in study.pick("test", k=2, order="score")]
    assert in_order == pytest.approx(sorted(mean.values(), reverse=True))
    for order in explore.ORDERS:
        assert sorted(study.pick("test", order=order)) == sorted(map(str, test.videos))


def test_what_is_not_there_is_named(study):
    with pytest.raises(ValueError, match="show: 'only BCE-C correct' is unknown; expected one of all, only ConDi-SR"):
        study.pick("test", "only BCE-C correct")
    with pytest.raises(ValueError, match="order: 'name' is unknown"):
        study.pick("test", order="name")
    with pytest.raises(ValueError, match="groups: 'motion' is unknown; expected one of length, class"):
        study.pick("test", motion="hard")
    with pytest.raises(ValueError, match="length: 'huge' is unknown"):
        study.pick("test", length="huge")
    with pytest.raises(ValueError, match="video: 'x' is not in the test split"):
        study.place("test", "x")
    with pytest.raises(ValueError, match="only the clips of condi_sr are divided"):
        study.at("test", 3, 1, "st_ent")
    with pytest.raises(ValueError, match="k: found 0"):
        study.at("test", 0)


@pytest.mark.parametrize("name", ["condi_sr", "st_ent", "oracle", "mc_dropout", "st_ent_scaled", "random"])
def test_shown_scores_rank_as_the_sampler_does(study, name):
    shown, what = study.shown_score("test", name)
    test = study.table("test")
    assert what and ((shown >= 0) & (shown <= 1))[test.mask].all()
    scores = study.score("test", name)
    for v in range(len(test.videos)):
        real = test.mask[v]
        above = scores[v][real][:, None] > scores[v][real]
        assert (shown[v][real][:, None] >= shown[v][real])[above].all()


def test_a_rule_that_does_not_score_shows_none(study):
    assert study.shown_score("test", "equidistant") == study.shown_score("test", "dense") == (None, "")


def test_a_run_without_its_costs_is_named(tmp_path):
    with pytest.raises(runs.MissingStep, match="run notebooks/08_flops_and_time.ipynb first"):
        explore.read_study(tmp_path)


def test_the_run_just_made_is_what_opens(tmp_path):
    first, last = (make_run(tmp_path, n_videos=2, name=name) for name in ("b", "a"))
    os.utime(first / "costs.json", (2e9, 2e9))
    found, opened = explore.runs_to_open(tmp_path / "runs")
    assert opened == "b/folder/resnext14_small" and list(found) == sorted(found)
    assert explore.runs_to_open(tmp_path / "runs", last)[1] == "a/folder/resnext14_small"
    elsewhere = last.rename(tmp_path / "mine")
    found, opened = explore.runs_to_open(tmp_path / "runs", elsewhere)
    assert found[opened] == elsewhere and len(found) == 2
    with pytest.raises(
        runs.MissingStep, match="nowhere holds no finished run.*finished below .*b/folder/resnext14_small"
    ):
        explore.runs_to_open(tmp_path / "runs", tmp_path / "nowhere")
    with pytest.raises(runs.MissingStep, match="holds no finished run: run notebooks 01 to 08 first"):
        explore.runs_to_open(tmp_path / "none")
