"""Samplers that look at all clips of a video at once, on features of each clip; beyond the thesis."""

from condi_lib.context.fit import TERMS, batch_of, context_loss, context_scores, fit_context
from condi_lib.context.network import ContextNetwork, pooled
from condi_lib.context.networks import NETWORKS, load_network, network_scores, train_network
from condi_lib.context.policies import POLICIES, AdaFrame, ListenToLook, fit_policy, policy_scores

__all__ = [
    "AdaFrame",
    "ContextNetwork",
    "ListenToLook",
    "NETWORKS",
    "POLICIES",
    "TERMS",
    "batch_of",
    "context_loss",
    "context_scores",
    "fit_context",
    "fit_policy",
    "load_network",
    "network_scores",
    "policy_scores",
    "pooled",
    "train_network",
]
