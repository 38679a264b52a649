from condi_lib.training.loop import digest, fit
from condi_lib.training.objectives import LOSSES, RANKING, classifier_batch_loss, order_of, student_batch_loss
from condi_lib.training.order import EpochSampler, Parts, clip_rows, columns

__all__ = [
    "EpochSampler",
    "LOSSES",
    "Parts",
    "RANKING",
    "classifier_batch_loss",
    "clip_rows",
    "columns",
    "digest",
    "fit",
    "order_of",
    "student_batch_loss",
]
