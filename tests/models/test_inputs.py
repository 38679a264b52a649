"""Pixels: what networks want, and whether they are what the network has seen."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condi_lib.data import three_crops
from condi_lib.models import (
    PIXELS,
    Input,
    as_input,
    build_student,
    build_teacher,
    check_pixels,
    device_of,
    for_inference,
    mean_over_crops,
    to_input,
)

SMALL = {"blocks": (1, 1, 1, 1), "width": 0.25}


def scenes(n=6, seed=0):
    """uint8 clips [n, 3, 4, 32, 32] of coloured blobs: neighbouring pixels are alike, as in videos."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(110, 60, (n, 3, 2, 4, 4))).float()
    return torch.nn.functional.interpolate(coarse, (4, 32, 32), mode="trilinear").clamp(0, 255).byte()


def trained(network, pixels, steps):
    """The network after its batch norms have seen `steps` batches of such pixels."""
    network.input = as_input(pixels, network.input)
    network.train()
    with torch.no_grad():
        for seed in range(steps):
            network(to_input(scenes(seed=seed + 1), network))
    return network.eval()


@pytest.mark.parametrize("steps", [1, 3, 60])
@pytest.mark.parametrize("seen", ["hara2018", "hara2020", "unit"])
@pytest.mark.parametrize("kind", ["resnet", "student"])
def test_pixels_far_from_those_of_training_are_noticed(kind, seen, steps):
    torch.manual_seed(0)
    network = build_teacher("resnet18", 5, **SMALL) if kind == "resnet" else build_student(0.25, 5, repeats=(1, 1, 1))
    network = trained(network, seen, steps)
    before = {k: x.clone() for k, x in network.state_dict().items()}
    for given_pixels in ("hara2018", "hara2020", "kinetics", "imagenet", "unit"):
        network.input = as_input(given_pixels, network.input)
        found = check_pixels(network, scenes())
        alike = {seen} if seen == "hara2018" else {"hara2020", "kinetics", "imagenet", "unit"} - {"hara2018"}
        if given_pixels == seen:
            assert found == ""
        elif given_pixels not in alike:
            assert found.startswith("pixels: far from what the network was trained on") and "hara2020" in found
            assert len(found.splitlines()) == 1
    assert not network.training and all(torch.equal(x, before[k]) for k, x in network.state_dict().items())


def test_dark_and_pale_videos_are_not_far():
    network = trained(build_teacher("resnet18", 5, **SMALL), "hara2020", 40)
    for clips in (scenes() // 2, 128 + scenes() // 2, scenes(1), torch.zeros(1, 3, 4, 32, 32, dtype=torch.uint8)):
        assert check_pixels(network, clips) == ""


def test_networks_that_cannot_tell_are_exempt():
    untrained = build_teacher("resnet18", 5, **SMALL)
    assert check_pixels(untrained, scenes()) == ""  # has seen nothing yet
    network = trained(untrained, "hara2020", 3)
    network.input = as_input("hara2018", network.input)
    assert check_pixels(network, scenes()) != ""
    assert check_pixels(for_inference(network, move=False), scenes()) == ""  # folded
    plain = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
    assert check_pixels(plain, scenes()) == ""
    of_batch = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.BatchNorm3d(4, track_running_stats=False))
    assert check_pixels(of_batch, scenes()) == ""
    torch.testing.assert_close(
        for_inference(of_batch, move=False)(to_input(scenes(), of_batch)).mean(), torch.zeros(())
    )


def test_a_published_file_without_counters_is_checked(tmp_path):
    """The files of 2017 and 2018 count no batches: what their batch norms have seen stands all the same."""
    state = trained(build_teacher("resnet18", 5, **SMALL), "hara2018", 60).state_dict()
    torch.save({"module." + k: x for k, x in state.items() if "num_batches" not in k}, tmp_path / "x.pth")
    for pixels, far in (("", False), ("hara2020", True)):
        network = build_teacher("resnet18", 5, tmp_path / "x.pth", pixels=pixels, **SMALL)
        assert (check_pixels(network, scenes()) != "") == far


def test_what_an_input_may_be():
    usual = Input((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 16, 112)
    assert as_input(usual) is usual
    mean, std = PIXELS["imagenet"]
    assert as_input("imagenet", usual) == Input(mean, std, 16, 112)
    assert as_input({"pixels": "imagenet", "size": 224, "stride": 2}, usual) == Input(mean, std, 16, 224, 2)
    assert as_input({"mean": [100, 110, 120], "std": (50, 50, 50), "frames": 8}, usual).mean == (100.0, 110.0, 120.0)
    for value, message in [
        ("imagenett", "pixels: 'imagenett' is unknown; expected one of hara2018"),
        ({"means": (1, 2, 3)}, "input: 'means' is unknown; expected some of pixels, mean, std, frames, size, stride"),
        ({"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}, "of pixels in .0, 1.; expected 255 times"),
        ({"std": (1, 1, 0)}, "input: std is .* expected three numbers, those of std above 0"),
        ({"mean": (1, 2)}, "input: mean is .* expected three numbers"),
        ({"size": 0}, "input: size is 0, expected a whole number from 1"),
        ({"frames": 1.5}, "input: frames is 1.5"),
        (7, "input: found 7, expected a dict"),
    ]:
        with pytest.raises(ValueError, match=message):
            as_input(value, usual)


def test_networks_without_parameters_run_on_the_cpu():
    network = torch.nn.Flatten()
    assert device_of(network) == torch.device("cpu") and to_input(scenes(1), network).device.type == "cpu"
    assert device_of(torch.nn.Linear(2, 2).to("meta")).type == "meta"
    assert device_of(torch.nn.BatchNorm1d(2, affine=False).to("meta")).type == "meta"  # buffers alone


@given(st.integers(1, 9), st.integers(1, 9))
def test_three_crops_cover_the_longer_side(height, width):
    clips = torch.arange(height * width, dtype=torch.uint8).view(1, 1, 1, height, width).expand(2, 3, 4, -1, -1)
    crops = three_crops(clips)
    side = min(height, width)
    assert crops.shape == (2, 3, 3, 4, side, side) and crops.dtype == torch.uint8
    first, middle, last = crops[0, :, 0, 0]
    whole = clips[0, 0, 0]
    assert torch.equal(first, whole[:side, :side]) and torch.equal(last, whole[-side:, -side:])
    top, left = (height - side) // 2, (width - side) // 2
    assert torch.equal(middle, whole[top : top + side, left : left + side])


def test_probabilities_are_averaged_over_crops():
    logits = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(0)) * 5
    found = mean_over_crops(logits.flatten(0, 1))
    torch.testing.assert_close(found.softmax(1), logits.softmax(2).mean(1))
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 2, 3), torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten())
    square = scenes(2)  # whose three crops are the clip itself
    of_crops = network(to_input(three_crops(square).flatten(0, 1), network))
    torch.testing.assert_close(
        mean_over_crops(of_crops).softmax(1), network(to_input(square, network)).softmax(1), rtol=1e-4, atol=1e-5
    )
