"""What a batch is trained on: the losses of the study as functions of outputs and batch."""

import torch

from condi_lib import losses

LOSSES = ("st_ent", "st_conf", "bce_c", "condi_sr", "sc_rank", "condi_sr_rank")
RANKING = ("sc_rank", "condi_sr_rank")  # those that compare clips of one video


def _accuracy(logits, labels):
    return (logits.argmax(1) == labels).float().mean().item()


def classifier_batch_loss(outputs, batch):
    """Cross-entropy on batch["label"] of a teacher's logits [B, C], or of a student's class logits."""
    logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    return losses.st_ent_loss(logits, batch["label"]), {"accuracy": _accuracy(logits, batch["label"])}


def student_batch_loss(
    loss,
    tau=2.0,
    conf_weight=2.0,
    pos_weight=1.0,
    stop_gradient=False,
    random_uniform=False,
    budget=0.3,
    rank_weight=1.0,
):
    """The batch_loss of one of LOSSES, for a student's (class_logits, confidence_logit).

    tau, conf_weight (lambda), pos_weight (alpha), stop_gradient and random_uniform belong to condi_sr (and
    condi_sr_rank, whose ranking term is multiplied by rank_weight), budget to st_conf. The batch holds label,
    teacher_logits, correct and video. Raises ValueError for another loss.
    """
    state = {"weight": 0.1} if loss == "st_conf" else {}  # moved after each batch

    def batch_loss(outputs, batch):
        logits, confidence = outputs
        labels, teacher_logits = batch["label"], batch["teacher_logits"]
        record = {"accuracy": _accuracy(logits, labels), "confidence": confidence.sigmoid().mean().item()}
        if loss == "st_ent":
            return losses.st_ent_loss(logits, labels), record
        if loss == "st_conf":
            value = losses.st_conf_loss(logits, confidence, labels, state["weight"])
            state["weight"] = losses.next_conf_weight(state["weight"], confidence, budget)
            return value, record
        if loss == "bce_c":
            return losses.bce_c_loss(confidence, batch["correct"]), record
        if loss in RANKING:
            saliency = teacher_logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
            ranking = losses.ranking_loss(confidence, saliency, batch["video"])
            if loss == "sc_rank":
                return ranking, record
        value = losses.condi_sr_loss(
            logits,
            confidence,
            teacher_logits,
            batch["correct"],
            tau,
            conf_weight,
            pos_weight,
            stop_gradient,
            random_uniform,
        )
        return value + rank_weight * ranking if loss in RANKING else value, record

    if loss not in LOSSES:
        raise ValueError(f"loss: {loss!r} is unknown; expected one of {', '.join(LOSSES)}")
    batch_loss.state = state
    return batch_loss


def order_of(loss):
    """The options of `fit` that a loss asks for, beside its batch_loss."""
    return {"balance": "correct" if loss == "bce_c" else "", "pair_by": "video" if loss in RANKING else ""}
