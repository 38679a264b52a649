"""Each claim's rule on planted differences."""

import pandas as pd
import pytest

from condi_lib.evaluation.claims import CLAIMS, FEW, HOLDS, IN_PART, NOT, UNKNOWN, claims

COLUMNS = ["measure", "sampler", "reference", "k", "k_student", "difference", "low", "high"]


def differences(values, sampler="condi_sr", reference="dense", measure="accuracy", ks=FEW, students=None):
    rows = [
        (measure, sampler, reference, k, s, value, value - 0.02, value + 0.02)
        for value, k, s in zip(values, ks, students or [0] * len(values), strict=False)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def own(gains=(0.0,), low=-0.005, multiply_adds=(0.3,), seconds_saved=0.4):
    rows = [(k, gain, gain + low, gain + 0.02, m) for k, gain, m in zip((1, 3, 5), gains, multiply_adds, strict=False)]
    table = pd.DataFrame(rows, columns=["k", "gain", "gain_low", "gain_high", "multiply_adds"])
    return table.assign(sampler="condi_sr", seconds=0.6, seconds_saved=seconds_saved, k_as_dense=1.0)


def verdict(claim, differences=None, table=None):
    rule, _ = CLAIMS[claim]
    return rule(
        own() if table is None else table, pd.DataFrame(columns=COLUMNS) if differences is None else differences
    )


@pytest.mark.parametrize(
    "claim, found, expected",
    [
        ("A perfect choice of clips beats dense", differences([0.1, 0.1, 0.1], "oracle"), HOLDS),
        ("A perfect choice of clips beats dense", differences([0.1, 0.1, 0.0], "oracle"), IN_PART),
        ("A perfect choice of clips beats dense", differences([0.0, 0.01, -0.1], "oracle"), NOT),
        ("Clips drawn at random are no better than dense", differences([-0.1, 0.0, 0.01], "random"), HOLDS),
        ("Clips drawn at random are no better than dense", differences([-0.1, 0.0, 0.1], "random"), IN_PART),
        ("Clips drawn at random are no better than dense", differences([0.1, 0.1, 0.1], "random"), NOT),
        ("ST-Ent beats dense with one clip", differences([0.1, -0.1, -0.1], "st_ent"), HOLDS),
        ("BCE-C beats dense with one clip", differences([0.01, 0.1, 0.1], "bce_c"), NOT),
        ("ConDi-SR beats dense with one clip", differences([0.03]), HOLDS),
        ("ConDi-SR beats separate training (ST-Ent)", differences([0.1, 0.1, 0.1], reference="st_ent"), HOLDS),
        ("ConDi-SR beats separate training (ST-Ent)", differences([0.1, 0.0, 0.0], reference="st_ent"), IN_PART),
        ("ConDi-SR beats a plain detector (BCE-C)", differences([-0.1, 0.0, 0.0], reference="bce_c"), NOT),
        ("ConDi-SR is up to 5 points above dense", differences([0.0, 0.06, 0.0]), HOLDS),
        ("ConDi-SR is up to 5 points above dense", differences([0.0, 0.03, 0.0]), IN_PART),
        ("ConDi-SR is up to 5 points above dense", differences([0.0, 0.01, 0.0]), NOT),
        ("ConDi-SR is up to 30 points above other samplers", differences([0.31], reference="random"), HOLDS),
        ("ConDi-SR is up to 30 points above other samplers", differences([0.1], reference="random"), IN_PART),
        ("ConDi-SR is up to 30 points above other samplers", differences([0.5]), UNKNOWN),  # over dense: another claim
        (
            "Dividing the clips with the student loses nothing",
            differences([0.02, 0.011], "division", "condi_sr"),
            HOLDS,
        ),
        (
            "Dividing the clips with the student loses nothing",
            differences([0.02, 0.0], "division", "condi_sr"),
            IN_PART,
        ),
        ("Dividing the clips with the student loses nothing", differences([-0.1, 0.0], "division", "condi_sr"), NOT),
    ],
)
def test_claims_on_differences(claim, found, expected):
    assert verdict(claim, found)[0] == expected
    if expected != UNKNOWN:
        assert "K = " in verdict(claim, found)[1]


@pytest.mark.parametrize("auroc, accuracy, expected", [(0.1, 0.1, HOLDS), (0.1, -0.1, IN_PART), (-0.1, 0.01, NOT)])
def test_knowing_more_than_the_softmax_is_detecting_and_choosing(auroc, accuracy, expected):
    found = [
        differences([auroc], reference="teacher_max", measure="auroc_within", ks=[0]),
        differences([accuracy, 0.5], reference="teacher_max"),
    ]
    assert verdict("The student knows more of the teacher's errors than its softmax", pd.concat(found))[0] == expected


@pytest.mark.parametrize(
    "table, expected",
    [
        (own([-0.02, 0.001, 0.0], -0.005, [0.2, 0.4, 0.5]), HOLDS),
        (own([-0.02, 0.001, 0.0], -0.03, [0.2, 0.4, 0.5]), IN_PART),  # a loss of three points is not ruled out
        (own([-0.02, -0.01, 0.1], -0.005, [0.2, 0.4, 1.1]), NOT),  # above dense where it costs more than dense
    ],
)
def test_saving_multiply_adds(table, expected):
    assert verdict("Dense's accuracy for fewer multiply-adds", table=table)[0] == expected


@pytest.mark.parametrize("saved, expected", [(0.35, HOLDS), (0.1, IN_PART), (-0.1, NOT), (float("nan"), NOT)])
def test_saving_time(saved, expected):
    assert verdict("Dense's accuracy in 30 % less time or more", table=own(seconds_saved=saved))[0] == expected


def test_what_was_not_measured_says_so():
    nothing = own().iloc[:0]
    assert {verdict(claim, table=nothing) for claim in CLAIMS} == {(UNKNOWN, "")}


def test_claims_are_a_row_each_for_each_data_set():
    table = pd.concat([own().assign(data_set=name, teacher="t") for name in ("a", "b")])
    found = pd.concat(
        [differences([gain] * 3).assign(data_set=name, teacher="t") for name, gain in (("a", 0.1), ("b", -0.1))]
    )
    verdicts = claims(table, found).set_index(["claim", "data_set"]).verdict
    assert len(verdicts) == 2 * len(CLAIMS)
    assert list(verdicts["ConDi-SR beats dense with one clip"]) == [HOLDS, NOT]
