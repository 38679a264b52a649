"""Every figure and table of the study, a function each: tables in, a matplotlib Figure or a DataFrame out.

A figure function gives None where its tables hold nothing to draw; then there is no figure. Rows without a value (nan)
are left out.
"""

from condi_lib.figures.captions import CAPTIONS
from condi_lib.figures.cost import accuracy_vs_cost, seconds_per_video
from condi_lib.figures.data import (
    THESIS_DATASETS,
    THESIS_DENSE,
    THESIS_ORACLE,
    confidence_histograms,
    frames_grid,
    label_shares,
    oracle_vs_dense,
    teacher_training,
    training_curves,
    video_lengths,
)
from condi_lib.figures.detection import (
    confidence_by_kind,
    error_rates,
    precision_recall,
    reliability,
    risk_coverage,
    roc,
)
from condi_lib.figures.groups import class_gains, gains_by_group, helped_and_hurt
from condi_lib.figures.sampling import ablations, accuracy_vs_k, division
from condi_lib.figures.schematics import framework, inference
from condi_lib.figures.style import GREY, label
from condi_lib.figures.tables import (
    accuracy_table,
    comparisons,
    detection_table,
    headline,
    shown,
    split_wide,
    styled,
    summary,
)
from condi_lib.figures.videos import example_video, video_view

__all__ = [
    "CAPTIONS",
    "GREY",
    "THESIS_DATASETS",
    "THESIS_DENSE",
    "THESIS_ORACLE",
    "ablations",
    "accuracy_table",
    "accuracy_vs_cost",
    "accuracy_vs_k",
    "class_gains",
    "comparisons",
    "confidence_by_kind",
    "confidence_histograms",
    "detection_table",
    "division",
    "error_rates",
    "example_video",
    "frames_grid",
    "framework",
    "gains_by_group",
    "headline",
    "helped_and_hurt",
    "inference",
    "label",
    "label_shares",
    "oracle_vs_dense",
    "precision_recall",
    "reliability",
    "risk_coverage",
    "roc",
    "seconds_per_video",
    "shown",
    "split_wide",
    "styled",
    "summary",
    "teacher_training",
    "training_curves",
    "video_lengths",
    "video_view",
]
