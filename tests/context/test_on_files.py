"""A context network in Predictor, and as a finished run's."""

import numpy as np
import pytest
import torch
from conftest import numbered_frames

from condi_lib import context, flops
from condi_lib.data import read_clips
from condi_lib.data.planted import write_video
from condi_lib.labelling import softmax
from condi_lib.models import WithFeatures, build_student, build_teacher, to_input
from condi_lib.predictor import Predictor

SHARES = {0: 1.0, 1: 0.7, 3: 0.25}


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    network = context.ContextNetwork(torch.zeros(1029), torch.ones(1029), 4).eval()
    return build_teacher("resnext14_small", 4).eval(), build_student(0.25, 4, repeats=(1, 2, 1)).eval(), network


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    write_video(path, numbered_frames(45))
    return path


def found_by_hand(teacher, student, network, path):
    """(teacher's probabilities [N, C], z~ logits [N], student's probabilities [N, C], pooled classes [C])."""
    clips = read_clips(path, 8, 32)
    with torch.inference_mode():
        features = WithFeatures(student)(to_input(clips, student)).half()
        z, attention, logits = network(features[None], torch.ones(1, len(clips), dtype=torch.bool))
        own = (attention[0, :, None] * logits[0]).sum(0).numpy()
        return (
            softmax(teacher(to_input(clips, teacher)).numpy()),
            z[0].numpy(),
            softmax(student(to_input(clips, student))[0].numpy()),
            softmax(own),
        )


@pytest.mark.parametrize("k", [0, 1, 2, 3, 6])
def test_k_clips_and_the_pooled_classes(networks, video, k):
    teacher, student, network = networks
    found = Predictor(*networks[:2], 8, 32, context=network, shares=SHARES)(video, k)
    probs, z, _, own = found_by_hand(*networks, video)
    kept, share = np.argsort(-z, kind="stable")[:k], SHARES[max(known for known in SHARES if known <= k)]
    expected = own if k == 0 else (1 - share) * probs[kept].mean(0) + share * own
    np.testing.assert_allclose(dict(found["top5"])[int(expected.argmax())], expected.max(), rtol=1e-3)
    assert [name for name, _ in found["top5"]] == list(np.argsort(-expected, kind="stable"))
    assert np.flatnonzero(found["by_teacher"]).tolist() == sorted(kept.tolist())
    np.testing.assert_allclose(found["score"], z, rtol=1e-3, atol=1e-3)
    cost = 6 * flops.count(student, 8, 32)[0] + flops.count_video(network, 6, 1029)
    assert found["multiply_adds"] == {"student": cost, "teacher": k * flops.count(teacher, 8, 32)[0]}


def test_divided_between_student_and_teacher(networks, video):
    found = Predictor(*networks[:2], 8, 32, context=networks[2], shares=SHARES)(video, 3, k_student=2)
    probs, z, clips, own = found_by_hand(*networks, video)
    by_student, by_teacher = (np.array(found[name]) for name in ("by_student", "by_teacher"))
    assert by_student.sum() == 2 and by_teacher.sum() == 1
    kept, entropy = np.argsort(-z)[:3], -(clips * np.log(clips)).sum(1)
    assert set(np.flatnonzero(by_student)) == set(kept[np.argsort(entropy[kept])[:2]])
    expected = 0.75 * np.concatenate([clips[by_student], probs[by_teacher]]).mean(0) + 0.25 * own
    np.testing.assert_allclose([p for _, p in found["top5"]], np.sort(expected)[::-1], rtol=1e-3)


def test_without_context_k_0_stays_an_error(networks, video):
    with pytest.raises(ValueError, match="k: found 0, expected a number of clips >= 1"):
        Predictor(*networks[:2], 8, 32)(video, 0)
    with pytest.raises(ValueError, match="k: found -1, expected a number of clips >= 0"):
        Predictor(*networks[:2], 8, 32, context=networks[2])(video, -1)


def test_multiply_adds_of_a_network_by_hand():
    """Without exchange: 2 layers, three heads; with: four projections, attention's two products, two layers each."""
    n, d, c, w = 7, 20, 5, 96
    heads = n * (w + w + w * c)
    for between, body in ((False, 2 * n * w * w), (True, 2 * (4 * n * w * w + 2 * n * n * w + 4 * n * w * w))):
        network = context.ContextNetwork(torch.zeros(d), torch.ones(d), c, between=between).eval()
        assert flops.count_video(network, n, d) == n * d * w + body + heads
