"""The networks of notebook 13 by name: how each is trained on features of clips, and the score table that it gives."""

import torch

from condi_lib.context.fit import context_scores, fit_context
from condi_lib.context.network import ContextNetwork
from condi_lib.context.policies import POLICIES, fit_policy, policy_scores

# name: (terms of the loss that it leaves out, may clips exchange what they show, whose features it reads)
NETWORKS = {
    "listen_to_look": ((), True, "student"),
    "adaframe": ((), True, "student"),
    "context_attention": (("z", "flattened", "rank"), True, "student"),
    "context_each": ((), False, "student"),
    "context": ((), True, "student"),
    "dense_pooled": ((), True, "teacher"),
}


def train_network(name, train, val, num_classes, weights, seed=0, dropout=0.2, **options):
    """(network, history) of one of NETWORKS, trained on the videos of `train` (ClipArrays with features).

    weights: {term of TERMS: weight}, for those that are not policies; options: of fit. All draws follow from `seed`.
    Raises ValueError for an unknown name or term, and as fit.
    """
    if name in POLICIES:
        return fit_policy(name, train, val, num_classes, seed=seed, dropout=dropout, **options)
    if name not in NETWORKS:
        raise ValueError(f"network: {name!r} is unknown; expected one of {', '.join(NETWORKS)}")
    without, between, _ = NETWORKS[name]
    weights = {term: weight for term, weight in weights.items() if term not in without}
    return fit_context(train, val, num_classes, weights, between, dropout=dropout, seed=seed, desc=name, **options)


def load_network(name, state):
    """One of NETWORKS with the weights of a state dict, for inference."""
    size = {"num_classes": len(next(state[key] for key in state if key.startswith("classifier") and "bias" in key))}
    moments = torch.zeros(len(state["mean"])), torch.ones(len(state["mean"]))
    if name in POLICIES:
        network = POLICIES[name](*moments, **size)
    else:
        network = ContextNetwork(*moments, **size, between=NETWORKS[name][1])
    network.load_state_dict(state)
    return network.eval()


def network_scores(name, network, arrays):
    """Its score table of the videos of `arrays`: see context_scores, policy_scores."""
    if name in POLICIES:
        return policy_scores(network, arrays)
    return context_scores(network, arrays, ranks_by="attention" if "z" in NETWORKS[name][0] else "z")
