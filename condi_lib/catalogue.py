"""Every figure and table of the study: what notebook 09 makes, from which tables, and what the workflow waits for.

Plain data, so that the workflow can read it without loading a plotting library. Adding a figure is one function in
figures/ and one line here.
"""

# name: (function of figures/, the tables that it takes, each "notebook/table"). A function that gives a table, or ""
# for the first table as it is, makes no picture; the first table (or the one that is given) is saved beside it.
FIGURES = {
    "framework": ("framework", ()),
    "inference": ("inference", ()),
    "table_1_1": ("", ("01_dataset/table_1_1",)),
    "teacher_training": ("teacher_training", ("02_teacher/teacher_history",)),
    "teacher_confidence": ("confidence_histograms", ("02_teacher/teacher_confidence",)),
    "label_shares": ("label_shares", ("03_teacher_labels/label_shares",)),
    "oracle": ("oracle_vs_dense", ("04_oracle/oracle",)),
    "accuracy_vs_k": ("accuracy_vs_k", ("06_sampling/accuracy_vs_k",)),
    "comparisons": ("comparisons", ("06_sampling/comparisons",)),
    "groups": ("gains_by_group", ("06_sampling/groups",)),
    "class_gains": ("class_gains", ("06_sampling/groups",)),
    "helped_and_hurt": ("helped_and_hurt", ("06_sampling/groups",)),
    "division": ("division", ("08_flops_and_time/division_cost",)),
    "detection": ("detection_table", ("07_fpr_fnr/detection",)),
    "error_rates": ("error_rates", ("07_fpr_fnr/detection",)),
    "roc": ("roc", ("07_fpr_fnr/curves", "07_fpr_fnr/detection")),
    "precision_recall": ("precision_recall", ("07_fpr_fnr/curves", "07_fpr_fnr/detection")),
    "risk_coverage": ("risk_coverage", ("07_fpr_fnr/curves", "07_fpr_fnr/detection")),
    "reliability": ("reliability", ("07_fpr_fnr/curves", "07_fpr_fnr/detection")),
    "confidence": ("confidence_histograms", ("07_fpr_fnr/confidence",)),
    "confidence_by_kind": ("confidence_by_kind", ("07_fpr_fnr/confidence_by_kind",)),
    "example": ("example_video", ("07_fpr_fnr/example",)),
    "sure_videos": ("sure_videos", ("06_sampling/video_curves", "06_sampling/accuracy_vs_k")),
    "cost": ("accuracy_vs_cost", ("08_flops_and_time/cost",)),
    "seconds": ("seconds_per_video", ("08_flops_and_time/seconds",)),
    "headline": (
        "headline",
        ("06_sampling/accuracy_vs_k", "07_fpr_fnr/detection", "08_flops_and_time/division_cost"),
    ),
    "summary": ("summary", ("06_sampling/accuracy_vs_k", "07_fpr_fnr/detection")),
}
# What notebook 00 shows: drawings of what the method stands on
BACKGROUND = {
    "taxonomy": ("taxonomy", ()),
    "recurrent_cells": ("recurrent_cells", ()),
    "cnn_lstm": ("cnn_lstm", ()),
    "two_streams": ("two_streams", ()),
    "conv_2d_3d": ("conv_2d_3d", ()),
    "motion_seen": ("motion_seen", ()),
    "conv_2plus1d": ("conv_2plus1d", ()),
    "study_map": ("study_map", ()),
}
# What notebook 12 makes
ABLATIONS = {
    "ablations": ("ablations", ("12_ablations/ablations",)),
    "ablations_at_inference": ("", ("12_ablations/inference",)),
}
# What notebook 14 makes, of all runs of a profile, and notebook 15 of several profiles
ACROSS = {
    "across": ("gains_at_cost", ("14_across/across",)),
    "recovered": ("recovered", ("14_across/across",)),
    "side_by_side": ("side_by_side", ("14_across/across",)),
    "folds": ("", ("14_across/folds",)),
    "claims": ("", ("14_across/claims",)),
    "verdicts": ("verdicts", ("14_across/claims",)),
}
PAYS = {
    "two_worlds": ("side_by_side", ()),
    "two_worlds_claims": ("", ()),
    "when_choosing_pays": ("when_choosing_pays", ()),
    "learning_curves": ("learning_curves", ()),
    "finding": ("", ()),
}
ALL = {**BACKGROUND, **FIGURES, **ABLATIONS, **ACROSS, **PAYS}
SOME_ONLY = {"confidence_by_kind", "example", "sure_videos"}  # they need the truth, may show frames, need context
TABLES = {"ablations_at_inference", "table_1_1", "comparisons", "detection", "summary", "headline"}
TABLES |= {"folds", "claims", "verdicts", "finding", "two_worlds_claims"}  # without a picture
PICTURES = {"framework", "inference", *BACKGROUND}  # without a table


def files(name):
    """The files that a figure or table is saved as."""
    extensions = ("png", "svg") * (name not in TABLES) + ("csv", "md") * (name not in PICTURES) + ("json",)
    return [f"{name}.{extension}" for extension in extensions]
