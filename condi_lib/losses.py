"""The losses of the study. Tensors only; each returns a scalar mean over the batch.

Shapes: class_logits and teacher_logits float [B, C], confidence_logit float [B], labels int64 [B] in 0..C-1,
correct bool or float [B] (z: 1 where the teacher is right).
"""

import torch
from torch.nn import functional as F

EPS = 1e-12


def st_ent_loss(class_logits, labels):
    """ST-Ent: cross-entropy on the true class (thesis 3.1.1). The score is minus the predictive entropy."""
    return F.cross_entropy(class_logits, labels)


def st_conf_loss(class_logits, confidence_logit, labels, conf_weight, hint=None):
    """ST-Conf: learned confidence (DeVries and Taylor 2018, arXiv 1802.04865).

    c = sigmoid(confidence_logit); where `hint` (bool [B], default: drawn with probability 1/2) is set, the prediction
    becomes p' = c p + (1 - c) onehot(y), elsewhere p' = p; loss = NLL(p', y) + conf_weight * mean(-log c), the second
    term over the whole batch. p and c are clamped to [1e-12, 1 - 1e-12].
    """
    if hint is None:
        hint = torch.rand_like(confidence_logit) < 0.5
    p = class_logits.softmax(1).gather(1, labels[:, None]).squeeze(1).clamp(EPS, 1 - EPS)  # p of the true class
    c = confidence_logit.sigmoid().clamp(EPS, 1 - EPS)
    trust = torch.where(hint.bool(), c, torch.ones_like(c))
    task = -(trust * p + (1 - trust)).log().mean()
    return task + conf_weight * -c.log().mean()


def next_conf_weight(conf_weight, confidence_logit, budget=0.3):
    """ST-Conf's weight after a batch: it moves so that mean(-log c) moves towards `budget`."""
    spent = -confidence_logit.detach().sigmoid().clamp(EPS, 1 - EPS).log().mean().item()
    return conf_weight / 1.01 if budget > spent else conf_weight / 0.99


def bce_c_loss(confidence_logit, correct):
    """BCE-C: binary cross-entropy of z~ = sigmoid(confidence_logit) against z (thesis 3.1.1)."""
    return F.binary_cross_entropy_with_logits(confidence_logit, correct.to(confidence_logit.dtype))


def target_probs(confidence, teacher_logits, correct, tau, random_uniform=False):
    """p^ of Eq. 3.5, float [B, C]: the teacher's soft probabilities, flattened the less they should be leaned on.

    With z~ = confidence: z~ p~t + (1 - z~) U where z = 1, and (1 - z~) p~t + z~ U where z = 0. U is 1/C, or, with
    random_uniform, drawn uniformly on [0, 1]^C and normalised.
    """
    soft = (teacher_logits / tau).softmax(1)
    uniform = torch.rand_like(soft) if random_uniform else torch.ones_like(soft)
    uniform = uniform / uniform.sum(1, keepdim=True)
    lean = torch.where(correct.bool(), confidence, 1 - confidence)[:, None]
    return lean * soft + (1 - lean) * uniform


def condi_sr_loss(
    class_logits,
    confidence_logit,
    teacher_logits,
    correct,
    tau,
    conf_weight,
    pos_weight,
    stop_gradient=False,
    random_uniform=False,
):
    """ConDi-SR: tau^2 KL(p^ || softmax(s_s / tau)) + lambda BCE(z~, z; positive part times alpha) (Eqs. 3.5 to 3.8).

    tau > 0: distillation temperature; conf_weight: lambda; pos_weight: alpha. stop_gradient keeps the gradient of the
    first term from the confidence head (z~ inside p^ is then a constant).
    """
    confidence = confidence_logit.sigmoid()
    target = target_probs(
        confidence.detach() if stop_gradient else confidence, teacher_logits, correct, tau, random_uniform
    )
    log_soft = (class_logits / tau).log_softmax(1)
    kl = (target * (target.clamp_min(EPS).log() - log_soft)).sum(1).mean()
    z = correct.to(confidence_logit.dtype)
    bce = F.binary_cross_entropy_with_logits(confidence_logit, z, pos_weight=z.new_tensor(pos_weight))
    return tau**2 * kl + conf_weight * bce


def ranking_loss(score, saliency, video, margin=1.0):
    """SCSampler's ranking loss (Korbar et al. 2019, arXiv 1904.04289) over the batch's pairs of clips of one video.

    The mean of max(0, margin - (score_i - score_j)) over all pairs of which clip i has the higher saliency; 0 where the
    batch has no such pair. score float [B], a logit; saliency float [B]: the teacher's probability of the true class;
    video int64 [B].
    """
    pairs = (video[:, None] == video) & (saliency[:, None] > saliency)
    hinge = (margin - (score[:, None] - score)).clamp_min(0)
    return hinge[pairs].sum() / pairs.sum().clamp_min(1)
