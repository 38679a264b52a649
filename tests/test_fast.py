"""What makes networks fast leaves the choice of clips as the plain float32 path has it."""

import pytest
import torch
from accelerate.state import AcceleratorState
from conftest import make_videos

from condi_lib import labelling, sampler, training
from condi_lib.data import ClipDataset, read_clips
from condi_lib.models import build_student, build_teacher, input_of

KS = [1, 2, 3, 5, 8]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(videos, teacher, student): 24 videos, and networks that a few passes over their clips have shaped."""
    videos = make_videos(tmp_path_factory.mktemp("fast"), [120] * 24)
    table = training.clip_rows(videos, 8)
    networks = []
    for network in (build_teacher("resnext14_small", 10), build_student(0.25, 10, repeats=(1, 2, 1))):
        data = ClipDataset(videos, table, training.columns(table, "label"), 8, 32)
        if networks:
            clips, _ = labelling.label_clips(networks[0], videos, 8, 32)
            data.columns = training.columns(clips, "label", "teacher_logits", "correct", "video")
        batch_loss = training.student_batch_loss("condi_sr") if networks else training.classifier_batch_loss
        training.fit(network, data, batch_loss, 4, 3e-3, 32, 0)
        networks.append(network)
    return videos, *networks


def plain(network, path):
    """The network as PyTorch runs it if nobody asks for more: default layout, float32, eager, one video at a time."""
    wants, network = input_of(network), network.to(memory_format=torch.contiguous_format).eval()
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (wants.mean, wants.std))
    with torch.no_grad():
        return network((read_clips(path, 8, 32).contiguous().float() - mean) / std)


def logits_in(column):
    return torch.stack([torch.tensor(values) for values in column])


@pytest.mark.parametrize(
    ("setting", "of_teacher", "n_videos"),
    [
        ({}, 1e-3, 24),  # layout, folded batch norms, batches across videos
        # one batch, since each further shape is compiled anew
        pytest.param({"ACCELERATE_DYNAMO_BACKEND": "inductor"}, 1e-3, 4, marks=pytest.mark.slow),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, 0.15, 24),
    ],
    ids=["default", "compiled", "bf16"],
)
def test_fast_paths_choose_the_clips_of_the_plain_one(study, setting, of_teacher, n_videos, monkeypatch):
    videos, teacher, student = study
    videos = videos[:n_videos]
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        scores = labelling.score_clips(student, "condi_sr", videos, 8, 32)
        clips, _ = labelling.label_clips(teacher, videos, 8, 32)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    logits, confidence = (torch.cat(part) for part in zip(*(plain(student, path) for path in videos.path), strict=True))
    assert confidence.std() > 0.1, "the student tells clips apart"
    torch.testing.assert_close(logits_in(scores.student_logits), logits, atol=1e-3, rtol=0)
    expected = torch.cat([plain(teacher, path) for path in videos.path])
    error = (logits_in(clips.teacher_logits) - expected).abs().max()
    assert error < of_teacher and (error > 1e-3) == ("ACCELERATE_MIXED_PRECISION" in setting)
    fast = sampler.clip_arrays(clips, scores)
    slow = sampler.clip_arrays(clips, scores.assign(score=confidence.sigmoid().numpy()))
    for k in KS:
        chosen = [sampler.select(arrays.score, k, arrays.mask) > 0 for arrays in (fast, slow)]
        assert (chosen[0] == chosen[1]).all()
