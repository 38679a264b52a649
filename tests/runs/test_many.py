"""Runs put side by side: which are folds of one data set, and tables against loops over their videos."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_study

from condi_lib import evaluation, runs, sampler
from condi_lib.data import NO_TRUTH

SHAPE = {"teacher": "resnext14_small", "frames": 8, "size": 32, "stride": 1, "crops": 1}
UNITS = {
    "multiply_adds": {"teacher": 100, "student": 7},
    "seconds": {"decode": 2e-3, "student": 1e-3, "teacher": 5e-3},
    "device": "cpu",
}


def make_run(folder, seed, fold=1, data="list", n_videos=12, prefix="", **parameters):
    """The tables of a finished run that notebook 14 reads, random, as the notebooks write them. Returns its folder."""
    clips, scores = make_study(seed, n_videos, losses=("condi_sr",), splits=("train", "val", "test"))
    clips["video"] = prefix + clips.video
    scores = [table.assign(video=prefix + table.video) for table in scores["condi_sr"]]
    shape = {"dataset": data, **SHAPE, "root": "nowhere"}

    def of(notebook, **more):
        return runs.Run(notebook, {**shape, **more}, folder)

    first = of("01_dataset", fold=fold, show_frames=fold == 1, **parameters)
    first.write_table(folder / "videos.parquet", clips.drop_duplicates("video")[["video"]])
    first.write_table(folder / "truth.parquet", NO_TRUTH)
    of("03_teacher_labels").write_table(folder / "clips.parquet", clips)
    for seed, table in enumerate(scores):
        of("05_train_sampler").write_table(folder / "condi_sr" / f"seed{seed}" / "scores.parquet", table)
    arrays = sampler.read_arrays(clips, {"condi_sr": scores})
    found = evaluation.outcomes_of_all(arrays, [1, 3])
    table = evaluation.accuracy_table(found, evaluation.dense_right(arrays[""][0]), found["oracle"])
    sampling = of("06_sampling", losses=["condi_sr"], networks=[], seeds=[0, 1])
    sampling.write_table(folder / "accuracy_vs_k.parquet", table)
    detected = pd.concat([evaluation.detection(name, arrays, draws=3) for name in sampler.detectors(arrays)])
    of("07_fpr_fnr").write_table(folder / "detection.parquet", detected)
    cost = table[~table["sampler"].isin(["oracle"])].rename(columns={"sampler": "setting"}).assign(k_student=0)
    n = table.n_clips[table["sampler"] == "dense"].iloc[0]
    cost = cost.assign(multiply_adds=1.0, share_of_dense=cost.n_clips / n)
    of("08_flops_and_time").write_table(folder / "cost.parquet", cost)
    of("08_flops_and_time").write_json(folder / "costs.json", UNITS)
    return folder


@pytest.fixture
def three(tmp_path):
    """Two folds of one data set and another data set."""
    out = tmp_path / "runs" / "mine"
    for fold in (1, 2):
        make_run(out / f"word_{fold}" / "net", 10 * fold, fold, n_videos=5 + 5 * fold, prefix=f"fold{fold}")
    make_run(out / "other" / "net", 50, word="digit")
    return out


def of_14(out):
    return runs.Run("14_across", {"dataset": "planted", **SHAPE}, out)


def test_entries_that_differ_in_their_fold_alone_are_one_data_set(three):
    groups = runs.groups_of(runs.finished(of_14(three), [three]))
    assert {key: len(of) for key, of in groups.items()} == {("other", "net"): 1, ("word", "net"): 2}
    make_run(three / "word_3" / "net", 30, 3, val_share=0.2)  # another data set
    groups = runs.groups_of(runs.finished(of_14(three), [three]))
    assert {key: len(of) for key, of in groups.items()} == {
        ("other", "net"): 1,
        ("word", "net"): 2,
        ("word_3", "net"): 1,
    }


def test_folds_of_two_teachers_or_profiles_are_not_pooled(three, tmp_path):
    make_run(three / "word_1" / "bigger", 70, 1)
    make_run(tmp_path / "runs" / "again" / "word_1" / "net", 80, 1)
    groups = runs.groups_of(
        runs.finished(of_14(three), [three / "word_1", three / "word_2", tmp_path / "runs" / "again"])
    )
    assert {key: len(of) for key, of in groups.items()} == {
        ("word_1", "bigger"): 1,
        ("word", "net"): 2,
        ("word_1", "net"): 1,
    }
    make_run(tmp_path / "runs" / "third" / "word_1" / "net", 90, 1)
    folders = [tmp_path / "runs" / name for name in ("again", "third")]
    assert set(runs.groups_of(runs.finished(of_14(three), folders))) == {
        ("again word_1", "net"),
        ("third word_1", "net"),
    }


def test_studies_of_the_same_data_that_differ_later_are_no_folds(tmp_path):
    out = tmp_path / "runs" / "mine"
    for name in ("epochs_3", "epochs_9"):
        make_run(out / name / "net", 10, 1)
    groups = runs.groups_of(runs.finished(of_14(out), [out]))
    assert {key: len(of) for key, of in groups.items()} == {("epochs_3", "net"): 1, ("epochs_9", "net"): 1}


def test_a_run_that_two_folders_hold_counts_once_and_none_is_an_error(three, tmp_path):
    assert len(runs.finished(of_14(three), [three, three / "other" / "net"])) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(runs.MissingStep, match="empty holds no finished run"):
        runs.finished(of_14(three), [tmp_path / "empty"])


def test_what_is_read_of_all_runs_is_what_their_tables_say(three):
    run = of_14(three)
    across, differences, folds = runs.read_across(run, [three])
    keys = ["sampler", "k"]
    tables = {f: pd.read_parquet(three / f"word_{f}" / "net" / "accuracy_vs_k.parquet").set_index(keys) for f in (1, 2)}
    n = [len(pd.read_parquet(three / f"word_{f}" / "net" / "clips.parquet", filters=[("split", "==", "test")])
             .video.unique()) for f in (1, 2)]  # fmt: skip
    word = across[across.data_set == "word"].set_index(keys)
    expected = sum(table.accuracy * share / sum(n) for table, share in zip(tables.values(), n, strict=True))
    np.testing.assert_allclose(word.accuracy, expected.loc[word.index])
    assert (word.n_videos == sum(n)).all() and (word.n_folds == 2).all() and (word.n_train == round(word.n_train)).all()
    other = across[across.data_set == "other"].set_index(keys)
    alone = pd.read_parquet(three / "other" / "net" / "accuracy_vs_k.parquet").set_index(keys).loc[other.index]
    np.testing.assert_allclose(other[["gain_low", "gain_high"]], alone[["gain_low", "gain_high"]])
    cost = pd.read_parquet(three / "other" / "net" / "cost.parquet").set_index(["setting", "k"]).share_of_dense
    assert other.multiply_adds["condi_sr", 3] == pytest.approx(cost["condi_sr", 3])
    clips = alone.n_clips["dense", 1]
    seconds = (clips * 3 + alone.n_clips["condi_sr", 3] * 5) / (clips * 7)
    assert other.seconds["condi_sr", 3] == pytest.approx(seconds) and np.isnan(other.multiply_adds["oracle", 1])
    own = folds[(folds.data_set == "word") & (folds["sampler"] == "condi_sr") & (folds.k == 1)].set_index("fold")
    assert own.accuracy["mean"] == pytest.approx((own.accuracy["1"] + own.accuracy["2"]) / 2)
    assert own.mean_class["mean"] == pytest.approx((own.mean_class["1"] + own.mean_class["2"]) / 2)
    single = folds[(folds.data_set == "other") & (folds.fold == "mean")].set_index(keys)
    np.testing.assert_allclose(single.auroc_within.loc[other.index], other.auroc_within)  # notebook 07's, and ours
    assert folds.once.all() and own.n_videos["mean"] == sum(n)
    assert set(differences.data_set) == {"word", "other"} and {"division"} < set(differences["sampler"])
    assert {"word_1/net/clips.parquet", "other/net/costs.json"} <= set(run.inputs)
    assert len(evaluation.claims(across, differences)) == 2 * len(evaluation.CLAIMS)


def test_a_video_that_is_tested_in_two_folds_is_told(three):
    make_run(three / "word_2" / "net", 20, 2, n_videos=15, prefix="fold1")
    _, _, folds = runs.read_across(of_14(three), [three])
    assert folds.groupby("data_set").once.all().to_dict() == {"other": True, "word": False}


def test_figures_of_all_runs_stand_until_a_run_changes(three, tmp_path, monkeypatch):
    run = of_14(three)
    across, differences, folds = runs.read_across(run, [three])
    for name, table in {"across": across, "folds": folds, "claims": evaluation.claims(across, differences)}.items():
        run.write_table(three / f"{name}.parquet", table)
    shown = tmp_path / "figures"
    runs.make_figures(run, shown, "across", "verdicts")
    for name in ("across", "verdicts"):
        assert not runs.why_stale(shown / f"{name}.json")
    assert "word_1/net/scores.parquet" not in runs.read_provenance(shown / "across.json")["chain"]
    assert "word_1/net/condi_sr/seed0/scores.parquet" in runs.read_provenance(shown / "across.json")["chain"]
    make_run(three / "word_1" / "net", 99, 1, prefix="fold1")
    assert "changed" in runs.why_stale(shown / "across.json")
