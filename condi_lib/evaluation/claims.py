"""The thesis' claims as rules: whether each holds, holds in part or does not hold on a data set, and by which numbers.

A difference counts as shown where its 95 % interval lies above 0; intervals are not corrected for how many there are.
"""

import pandas as pd

from condi_lib.sampler import SAMPLERS

HOLDS, IN_PART, NOT, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"
MARGIN = 0.01  # a loss of accuracy that counts as none: the interval rules out a larger one
FEW = (1, 3, 5)  # numbers of clips that claims look at


def _shown(rows):
    """Differences with their intervals, in points (of AUROC: as they are)."""
    texts = []
    for row in rows.itertuples():
        scale, digits = (1, 3) if row.measure == "auroc_within" else (100, 1)
        numbers = (f"{scale * x:+.{digits}f}" for x in (row.difference, row.low, row.high))
        place = "AUROC within videos" if row.measure == "auroc_within" else f"K = {row.k}"
        place += f", K_s = {row.k_student}" * bool(row.k_student)
        texts.append("{}: {} [{}, {}]".format(place, *numbers))
    return "; ".join(texts)


def _count(good, rows):
    """The verdict where all, some or none of the differences are as claimed."""
    if not len(rows):
        return UNKNOWN, ""
    return HOLDS if good.all() else IN_PART if good.any() else NOT, _shown(rows)


def _of(differences, name, reference, ks=FEW, measure="accuracy"):
    same = (differences["sampler"] == name) & (differences.reference == reference) & (differences.measure == measure)
    return differences[same & differences.k.isin(ks)]


def above(name, reference, ks=FEW):
    """Rule: the sampler is above the reference at these k."""

    def rule(table, differences):
        rows = _of(differences, name, reference, ks)
        return _count(rows.low > 0, rows)

    return rule


def not_above(name, reference, ks=FEW):
    """Rule: the sampler is not above the reference at these k."""

    def rule(table, differences):
        rows = _of(differences, name, reference, ks)
        return _count(~(rows.low > 0), rows)

    return rule


def reaches(least, references):
    """Rule: ConDi-SR is as much as `least` above a reference at some k. In part: above one, by less."""

    def rule(table, differences):
        same = (differences["sampler"] == "condi_sr") & (differences.measure == "accuracy")
        rows = differences[same & differences.reference.map(references).astype(bool)]
        if not len(rows):
            return UNKNOWN, ""
        best = rows.loc[[rows.difference.idxmax()]]
        sure = rows.low > 0
        verdict = HOLDS if (sure & (rows.difference >= least)).any() else IN_PART if sure.any() else NOT
        return verdict, f"most: {_shown(best)} over {SAMPLERS[best.reference.iloc[0]].label}"

    return rule


def knows_more(table, differences):
    """Rule: ConDi-SR tells the teacher's errors from what is right better than the teacher's own largest probability,
    and chooses better by it."""
    rows = pd.concat(
        [
            _of(differences, "condi_sr", "teacher_max", [0], "auroc_within"),
            _of(differences, "condi_sr", "teacher_max", [1]),
        ]
    )
    return _count(rows.low > 0, rows)


def saves_multiply_adds(table, differences):
    """Rule: ConDi-SR is not below dense for fewer multiply-adds. In part: it is not, but a loss is not ruled out."""
    own = table[(table["sampler"] == "condi_sr") & table.multiply_adds.notna()]
    if not len(own):
        return UNKNOWN, ""
    level = own[(own.gain >= 0) & (own.multiply_adds < 1)].sort_values("k")
    if not len(level):
        return NOT, "below dense at every K that costs less"
    sure = level[level.gain_low >= -MARGIN]
    row = (sure if len(sure) else level).iloc[0]
    text = f"K = {row.k}: {100 * row.gain:+.1f} [{100 * row.gain_low:+.1f}, {100 * row.gain_high:+.1f}]"
    return HOLDS if len(sure) else IN_PART, f"{text} for {100 * row.multiply_adds:.0f} % of the multiply-adds"


def saves_time(least=0.3):
    """Rule: at dense's accuracy ConDi-SR takes `least` less time. In part: less, by less."""

    def rule(table, differences):
        own = table[(table["sampler"] == "condi_sr") & table.seconds.notna()]
        if not len(own):
            return UNKNOWN, ""
        saved, k = own.seconds_saved.iloc[0], own.k_as_dense.iloc[0]
        if pd.isna(saved):
            return NOT, "below dense at every K"
        verdict = HOLDS if saved >= least else IN_PART if saved > 0 else NOT
        return verdict, f"K = {k:.0f}: {100 * saved:+.0f} % of the seconds saved"

    return rule


def divides(table, differences):
    """Rule: the student classifies some of the clips itself and no accuracy is lost (by more than MARGIN)."""
    rows = differences[differences["sampler"] == "division"]
    return _count(rows.low >= -MARGIN, rows)


def _others(name):
    return name != "dense" and not (name in SAMPLERS and SAMPLERS[name].cheats)


_ABOVE = "the difference is above 0 at "
# claim: (rule, when it holds, in words)
CLAIMS = {
    "A perfect choice of clips beats dense": (above("oracle", "dense"), _ABOVE + "K = 1, 3 and 5"),
    "Clips drawn at random are no better than dense": (
        not_above("random", "dense"),
        "the difference is above 0 at none of K = 1, 3 and 5",
    ),
    "ST-Ent beats dense with one clip": (above("st_ent", "dense", [1]), _ABOVE + "K = 1"),
    "BCE-C beats dense with one clip": (above("bce_c", "dense", [1]), _ABOVE + "K = 1"),
    "ConDi-SR beats dense with one clip": (above("condi_sr", "dense", [1]), _ABOVE + "K = 1"),
    "ConDi-SR beats separate training (ST-Ent)": (above("condi_sr", "st_ent"), _ABOVE + "K = 1, 3 and 5"),
    "ConDi-SR beats a plain detector (BCE-C)": (above("condi_sr", "bce_c"), _ABOVE + "K = 1, 3 and 5"),
    "ConDi-SR is up to 5 points above dense": (
        reaches(0.05, lambda name: name == "dense"),
        "5 points or more, and above 0, at some K; in part: above 0",
    ),
    "ConDi-SR is up to 30 points above other samplers": (
        reaches(0.30, _others),
        "30 points or more, and above 0, over some sampler at some K; in part: above 0",
    ),
    "The student knows more of the teacher's errors than its softmax": (
        knows_more,
        "ConDi-SR is above the teacher's largest probability in AUROC within videos and in accuracy at K = 1",
    ),
    "Dense's accuracy for fewer multiply-adds": (
        saves_multiply_adds,
        "ConDi-SR is not below dense at some K that costs less, and a loss of over a point is ruled out",
    ),
    "Dense's accuracy in 30 % less time or more": (
        saves_time(),
        "at the first K at which ConDi-SR is not below dense; in part: in less time",
    ),
    "Dividing the clips with the student loses nothing": (
        divides,
        "of ConDi-SR's 5 clips the student takes 1 to 5, and a loss of more than a point is ruled out each time",
    ),
}


def claims(table, differences):
    """Each claim on each data set: claim, rule, data_set, teacher, verdict, because (the numbers).

    table: across_table with_savings, differences: across_differences, of several data sets and teachers.
    """
    rows = []
    for (data_set, teacher), own in table.groupby(["data_set", "teacher"], sort=False):
        mine = differences[(differences.data_set == data_set) & (differences.teacher == teacher)]
        rows += [(claim, says, data_set, teacher, *rule(own, mine)) for claim, (rule, says) in CLAIMS.items()]
    return pd.DataFrame(rows, columns=["claim", "rule", "data_set", "teacher", "verdict", "because"])
