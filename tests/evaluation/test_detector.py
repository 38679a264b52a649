import numpy as np
import pytest
from conftest import make_clips, make_study
from sklearn.metrics import average_precision_score, roc_auc_score

from condi_lib import evaluation, sampler
from condi_lib.sampler import clip_arrays


# Detection
def drawn(seed, n=120, levels=None):
    rng = np.random.default_rng(seed)
    correct = rng.random(n) < 0.6
    score = 1 / (1 + np.exp(-rng.normal(correct, 1)))
    return correct, np.round(score, 1) if levels else score, rng.integers(0, 4, (3, n)).astype(float)


@pytest.mark.parametrize("levels", [None, 10])
@pytest.mark.parametrize("seed", range(3))
def test_auroc_and_average_precision_are_scikit_learns_with_weights_too(seed, levels):
    correct, score, weights = drawn(seed, levels=levels)
    for w in (None, *weights):
        rows = None if w is None else w[None]
        expected = roc_auc_score(correct, score, sample_weight=w)
        assert evaluation.auroc(correct, score, rows)[0] == pytest.approx(expected)
        expected = average_precision_score(correct, score, sample_weight=w)
        assert evaluation.auprc(correct, score, rows)[0] == pytest.approx(expected)
    np.testing.assert_allclose(
        evaluation.auroc(correct, score, weights), [evaluation.auroc(correct, score, w[None])[0] for w in weights]
    )


@pytest.mark.parametrize("levels", [None, 10])
def test_risk_coverage_by_hand(levels):
    correct, score, _ = drawn(1, 60, levels)
    risks = [(~correct[score >= s]).mean() for s in score]
    assert evaluation.aurc(correct, score)[0] == pytest.approx(np.mean(risks))
    perfect = evaluation.aurc(correct, correct.astype(float) + 0.01 * score)[0]
    assert perfect < evaluation.aurc(correct, score)[0] < evaluation.aurc(correct, -correct.astype(float))[0]


def test_calibration_error_by_hand_and_0_where_calibrated():
    correct, prob, weights = drawn(2, 300)
    total = 0.0
    for b in range(15):
        inside = (prob >= b / 15) & (prob < (b + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(prob[inside].mean() - correct[inside].mean())
    assert evaluation.ece(correct, prob)[0] == pytest.approx(total / 300)
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    assert evaluation.ece(rng.random(200_000) < p, p)[0] < 0.01
    assert evaluation.ece(rng.random(200_000) < p, p**3)[0] > 0.1
    assert evaluation.ece(np.array([True]), np.array([1.0]))[0] == 0


def test_calibrating_on_val_undoes_an_overconfident_scale():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 1, (2, 20_000))
    z = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
    over = 1 / (1 + np.exp(-3 * logit))
    scaled = evaluation.calibrate(over[0], z[1], over[1])
    assert evaluation.ece(z[0], over[0])[0] > 0.1 > 0.015 > evaluation.ece(z[0], scaled)[0]
    assert (np.argsort(scaled) == np.argsort(over[0])).all()


def test_the_threshold_minimises_fpr_plus_fnr():
    rng = np.random.default_rng(0)
    correct = rng.random(80) < 0.6
    score = np.round(rng.normal(correct, 1), 1)
    threshold = evaluation.choose_threshold(correct, score)
    best = min(sum(evaluation.error_rates(correct, score, t)) for t in np.unique(score))
    assert sum(evaluation.error_rates(correct, score, threshold)) == pytest.approx(best)


def test_error_rates_by_hand():
    correct = np.array([True, True, True, False, False])
    score = np.array([0.9, 0.5, 0.1, 0.5, 0.2])
    fpr, fnr = evaluation.error_rates(correct, score, 0.5)
    assert (fpr[0], fnr[0]) == (0.5, pytest.approx(1 / 3))
    fpr, fnr = evaluation.error_rates(correct, score, 0.5, np.array([[1.0, 1, 0, 3, 1]]))
    assert (fpr[0], fnr[0]) == (0.75, 0)


def test_auroc_within_a_video_is_scikit_learns():
    arrays = clip_arrays(make_clips(11, 30, longest=9))
    score = np.random.default_rng(0).integers(0, 4, arrays.mask.shape).astype(float)
    found = evaluation.auroc_within(arrays, score)
    for v in range(len(found)):
        z, s = arrays.correct[v][arrays.mask[v]], score[v][arrays.mask[v]]
        if z.all() or not z.any():
            assert np.isnan(found[v])
        else:
            assert found[v] == pytest.approx(roc_auc_score(z, s))
    assert evaluation.mean_auroc_within(arrays, score)[0] == pytest.approx(np.nanmean(found))


def test_detection_uses_the_threshold_of_val_on_test():
    clips, scores = make_study(1, 40, losses=("condi_sr",), seeds=1)
    arrays = sampler.read_arrays(clips, scores)
    found = evaluation.detection("condi_sr", arrays, draws=50).set_index("measure")
    table = scores["condi_sr"][0]
    v, t = (clips.split == s for s in ("val", "test"))
    threshold = evaluation.choose_threshold(clips.correct[v].to_numpy(), table.score[v].to_numpy(np.float64))
    assert found["mean"]["threshold"] == pytest.approx(threshold)
    called, z = table.score[t] >= np.float32(threshold), clips.correct[t]
    assert found["mean"]["fpr"] == pytest.approx(called[~z].mean())
    assert found["mean"]["fnr"] == pytest.approx((~called[z]).mean())
    assert found["mean"]["auroc"] == pytest.approx(roc_auc_score(z, table.score[t]))
    assert found["mean"]["fpr_at_half"] == pytest.approx((table.confidence[t] >= 0.5)[~z].mean())
    assert (found.low <= found["mean"]).all() and (found["mean"] <= found.high).all()


def test_detection_intervals_are_those_of_resampled_videos():
    """The weighted measures against plain recomputation on resampled clips."""
    clips, scores = make_study(6, 40, losses=("condi_sr",), seeds=1)
    test = sampler.read_arrays(clips, scores)["condi_sr"][0]
    rng = np.random.default_rng(0)
    for _ in range(3):
        count = rng.multinomial(40, np.full(40, 1 / 40))
        weights = np.repeat(count, test.mask.sum(1))[None].astype(float)
        videos = np.repeat(np.arange(40), count)
        z, s = (x[videos][test.mask[videos]] for x in (test.correct, test.confidence))
        plain = test.correct[test.mask], test.confidence[test.mask]
        for measure in (evaluation.auroc, evaluation.auprc, evaluation.aurc, evaluation.ece):
            assert measure(*plain, weights)[0] == pytest.approx(measure(z, s)[0])


def test_a_score_that_is_no_probability_has_no_rates_at_half():
    clips, scores = make_study(1, 40, losses=("st_ent",), seeds=2)
    found = evaluation.detection("st_ent", sampler.read_arrays(clips, scores), draws=20).set_index("measure")
    assert found["mean"][["fpr_at_half", "fnr_at_half", "ece", "ece_scaled"]].isna().all()
    assert found["mean"].notna().sum() == 7 and (found.n_seeds == 2).all()


def test_curves_integrate_to_their_areas():
    clips, scores = make_study(3, 400, losses=("condi_sr",), seeds=1, longest=9)
    for table in scores["condi_sr"]:
        table["score"] = np.random.default_rng(0).random(len(table)).astype(np.float32) / 2 + clips.correct / 4
    arrays = sampler.read_arrays(clips, scores)
    curves = evaluation.detection_curves("condi_sr", arrays)
    areas = evaluation.detection("condi_sr", arrays, draws=5).set_index("measure")["mean"]
    for curve, measure in (("roc", "auroc"), ("precision_recall", "auprc"), ("risk_coverage", "aurc")):
        rows = curves[curves.curve == curve]
        assert np.trapezoid(rows.y, rows.x) == pytest.approx(areas[measure], abs=6e-3), curve
    assert set(curves.curve) == {"roc", "precision_recall", "risk_coverage", "reliability", "reliability_scaled"}


def test_a_student_that_is_sure_is_measured_by_its_logit():
    """Probabilities that round to 1 in float32 lose what the logits keep; the rates at thresholds are the same."""
    clips, _ = make_study(1, 60)
    rng = np.random.default_rng(0)
    logit = rng.normal(20 + 20 * clips.correct, 20).astype(np.float32)
    table = clips[["video", "clip"]].assign(score=logit, confidence=(1 / (1 + np.exp(-np.float64(logit)))))
    table["confidence"] = table.confidence.astype(np.float32)
    arrays = sampler.read_arrays(clips, {"bce_c": [table]})
    found = evaluation.detection("bce_c", arrays, draws=5).set_index("measure")["mean"]
    z = clips.correct[clips.split == "test"]
    test = table[clips.split == "test"]
    assert found.auroc == pytest.approx(roc_auc_score(z, test.score))
    assert found.auroc > roc_auc_score(z, test.confidence) + 0.05
    one = arrays["bce_c"][0]
    flat = one.correct[one.mask], one.confidence[one.mask]
    assert found.ece == pytest.approx(evaluation.ece(*flat)[0])
    assert [found.fpr_at_half, found.fnr_at_half] == [x[0] for x in evaluation.error_rates(*flat, 0.5)]
    chosen = sampler.keep("bce_c", arrays)[0](1)
    for v in range(len(one.videos)):
        assert chosen[v].argmax() == test.score[test.video == one.videos[v]].to_numpy().argmax()
