import numpy as np
import pandas as pd
import pytest
import torch

from condi_lib import flops
from condi_lib.models import build_student, build_teacher
from condi_lib.sampler import SAMPLERS


def test_the_table_of_published_networks():
    """Of some; notebook 08 counts all of them."""
    table = flops.published_networks(["resnext101", "r3d_18", "inception_i3d", 0.25, 1.0, 2.0]).set_index("network")
    shown = table[["multiply-adds (10^9)", "published (10^9)"]].to_numpy()
    np.testing.assert_allclose(shown[:, 0], shown[:, 1], rtol=0.01)
    assert table["published (10^6)"]["resnext101"] == pytest.approx(table["parameters (10^6)"]["resnext101"], abs=0.01)
    assert table["published (10^6)"]["r3d_18"] == table["parameters (10^6)"]["r3d_18"]
    assert (table["not counted"] == "").all()


def test_i3d_in_the_settings_that_the_thesis_may_have_meant():
    table = flops.thesis_i3d().set_index(["frames", "size", "crops", "counted"])
    total = table["10^6 operations, 18 clips"]
    one, two = "a multiply-add as one", "a multiply-add as two"
    # 27,832,506,816 multiply-adds at 16 x 224 x 224 by fvcore, which counts batch norm (0.16 %) too
    assert total[16, 224, 1, one] == pytest.approx(18 * 27832.506816, rel=2e-3)
    assert total[64, 224, 3, two] == pytest.approx(18 * 3 * 2 * 111331.256064, rel=2e-3)
    times = table["times the thesis' figure"]
    assert times.iloc[0] == times[64, 224, 3, two] == pytest.approx(1.063, abs=1e-3)  # nothing is nearer


def test_operations_that_are_not_counted_are_named():
    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(64, 64)

        def forward(self, x):
            x = self.linear(x.flatten(3).mean(1))  # (B, F, 64)
            return torch.nn.functional.scaled_dot_product_attention(x, x, x).mean(1)

    total, left_out = flops.count(Attention(), 2, 8)
    assert total == 2 * 64 * 64 and left_out == ["aten::scaled_dot_product_attention"]


def test_the_small_student_costs_at_most_a_tenth_of_the_small_teacher():
    teacher = flops.count(build_teacher("resnext14_small", 10), 8, 32)[0]
    assert flops.count(build_student(0.25, 10, repeats=(1, 2, 1)), 8, 32)[0] <= teacher / 10


def test_counting_by_hand():
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3, padding=1, bias=False), torch.nn.Flatten())
    assert flops.count(network, 2, 5) == (3 * 27 * 4 * 2 * 5 * 5, [])
    assert flops.per_video(18, 5, 3, 100) == 18 * 3 + 5 * 100
    assert flops.parameters(network) == 3 * 27 * 4


def test_what_each_kind_of_sampler_costs_by_hand():
    names = ["dense", "random", "condi_sr", "mc_dropout", "teacher_max", "context", "oracle"]
    accuracy = pd.DataFrame({"sampler": names, "k": 2, "n_clips": [18.5] + [2.0] * 6})
    table = flops.of_samplers(accuracy, 18.5, 3, 100, {"context": 7}).set_index("setting")
    expected = {"dense": 1850, "random": 200, "teacher_max": 1850}
    expected |= {"condi_sr": 18.5 * 3 + 200, "context": 18.5 * 3 + 200 + 7}
    expected["mc_dropout"] = SAMPLERS["mc_dropout"].passes * 18.5 * 3 + 200
    assert table.multiply_adds.to_dict() == pytest.approx(expected)  # and no oracle, which cheats
    assert table.share_of_dense.to_dict() == pytest.approx({k: v / 1850 for k, v in expected.items()})
    seconds = {"decode": 1, "student": 2, "teacher": 5}
    costs = [flops.of_video(name, 10, 4, seconds) for name in ("random", "condi_sr", "teacher_max")]
    assert costs == [10 + 4 * 5, 10 + 10 * 2 + 4 * 5, 10 + 10 * 5]
    divided = flops.of_division(pd.DataFrame({"k": 5, "k_student": [0, 3], "n_clips": [5.0, 2.0]}), 18.5, 3, 100)
    assert divided.multiply_adds.tolist() == [555.5, 255.5]
