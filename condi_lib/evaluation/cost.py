"""What is bought with what is paid: accuracy beside multiply-adds or seconds."""

import numpy as np

KNOWN = ["accuracy", "accuracy_low", "accuracy_high", "n_seeds", "n_videos"]


def pareto(cost, accuracy):
    """Which points are not dominated, bool [M]: by one that costs no more and is no less accurate, and is not equal."""
    cost, accuracy = np.asarray(cost), np.asarray(accuracy)
    no_worse = (cost[:, None] <= cost) & (accuracy[:, None] >= accuracy)  # [i, j]: i against j
    return ~(no_worse & ~no_worse.T).any(0) & np.isfinite(accuracy)


def seconds_table(medians, known, chosen):
    """Measured seconds beside the accuracies that belong to them, a row a setting, in their order.

    medians: name (of a sampler), k (NaN: all clips), k_student, and decode, student, teacher, seconds a video; the
    first is dense. known: the tables of accuracy and division with a column name. chosen: validation's K.
    Adds networks (student and teacher) and total (decode too), seconds; total_over_dense; a label, setting; the columns
    of KNOWN; pareto, of total and accuracy.
    """
    table = medians.assign(networks=medians.student + medians.teacher)
    table["total"] = table.networks + table.decode
    table["total_over_dense"] = table.total / table.total.iloc[0]
    table["k"] = table.k.fillna(known.k[known.name == "dense"].min()).astype(int)  # dense is the same at every K
    key = ["name", "k", "k_student"]
    table = table.merge(known[key + KNOWN].drop_duplicates(key), on=key, how="left")
    table["setting"] = [_setting(*row, chosen) for row in table[key].itertuples(index=False)]
    return table.assign(pareto=pareto(table.total, table.accuracy))


def _setting(name, k, k_student, chosen):
    if name == "dense":
        return "dense"
    return f"K = {k}" + f", K_s = {k_student}" * bool(k_student) + " (chosen)" * ((k, k_student) == (chosen, 0))
