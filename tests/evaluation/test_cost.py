"""Seconds beside accuracies, by hand."""

import numpy as np
import pandas as pd

from condi_lib import evaluation


def test_seconds_stand_beside_the_accuracy_of_their_setting():
    medians = pd.DataFrame(
        {
            "name": ["dense", "condi_sr", "condi_sr", "condi_sr"],
            "k": [None, 5, 5, 30],
            "k_student": [0, 0, 3, 0],
            "decode": 1.0,
            "student": [0.0, 1.0, 1.0, 1.0],
            "teacher": [8.0, 3.0, 1.0, 8.0],
        }
    )
    known = pd.DataFrame(
        [
            ("context", 0, 0, 0.4),
            ("dense", 1, 0, 0.6),
            ("dense", 5, 0, 0.6),
            ("condi_sr", 5, 0, 0.7),
            ("condi_sr", 5, 3, 0.5),
        ]
        * 2,
        columns=["name", "k", "k_student", "accuracy"],
    ).assign(accuracy_low=0.0, accuracy_high=1.0, n_seeds=2, n_videos=9)
    table = evaluation.seconds_table(medians, known, chosen=5)
    assert table.setting.tolist() == ["dense", "K = 5 (chosen)", "K = 5, K_s = 3", "K = 30"]
    assert table.total.tolist() == [9, 5, 3, 10] and table.networks.tolist() == [8, 4, 2, 9]
    np.testing.assert_allclose(table.total_over_dense, [1, 5 / 9, 3 / 9, 10 / 9])
    np.testing.assert_array_equal(table.accuracy, [0.6, 0.7, 0.5, np.nan])  # 30 clips: nobody asked for their accuracy
    assert table.pareto.tolist() == [False, True, True, False]
