"""Two published policies that look at the clips of a video step by step, on features of all clips.

Both are trained on the video's class; which clips they look at, in which order, is the choice that the teacher gets.
Where a paper leaves the next clip free, a clip is looked at once: K steps must give K clips.
"""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from condi_lib.context.fit import fit, moments, video_batches

UNSEEN = 100.0  # below any step's score: clips that the policy did not come to
GAMMA, SIGMA = 0.9, 0.1  # AdaFrame's discount of rewards, and spread of the place that it draws


class _Policy(nn.Module):
    """What both share: standardised features, an LSTM, a classifier on its state."""

    def __init__(self, mean, std, num_classes, width, dropout, lstm_in):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32))
        self.reduce = nn.Sequential(nn.Linear(len(self.mean), width), nn.GELU(), nn.Dropout(dropout))
        self.cell = nn.LSTMCell(lstm_in, width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, num_classes))

    def start(self, features):
        """(reduced features [B, N, W], their keys, the LSTM's first state)."""
        x = self.reduce((features.float() - self.mean) / self.std)
        zeros = x.new_zeros(len(x), x.shape[2])
        return x, self.key(x), (zeros, zeros)

    def attend(self, keys, hidden, allowed):
        """Attention of the state's query over the allowed clips: logits [B, N]."""
        logits = (keys * self.query(hidden)[:, None]).sum(-1) / keys.shape[-1] ** 0.5
        return logits.masked_fill(~allowed, -torch.inf)


class ListenToLook(_Policy):
    """The image-only part of Gao et al. 2020 (arXiv 1912.04487): an LSTM whose state queries all clips for the next.

    In training each step takes the attention-weighted mean of the clips, at inference the clip of the most attention
    (their argmax) among those that it has not had. float [B, N, D], mask bool [B, N] -> (class logits [B, C] of the
    mean state, score [B, N]: minus the step at which a clip was taken, for those never taken lower, by the last step's
    attention).
    """

    def __init__(self, mean, std, num_classes, width=96, dropout=0.2, steps=10):
        super().__init__(mean, std, num_classes, width, dropout, width)
        self.steps = steps

    def forward(self, features, mask):
        x, keys, state = self.start(features)
        left, score, states = mask.clone(), torch.full(mask.shape, -UNSEEN), []
        for step in range(min(self.steps, mask.shape[1])):
            allowed = mask if self.training else torch.where(left.any(1, keepdim=True), left, mask)
            logits = self.attend(keys, state[0], allowed)
            weights = logits.softmax(1)
            if not self.training:
                best = weights.argmax(1, keepdim=True)
                weights = torch.zeros_like(weights).scatter(1, best, 1.0)
                new = left.gather(1, best)
                score.scatter_(1, best, torch.where(new, -float(step), score.gather(1, best)))
                left.scatter_(1, best, False)
            state = self.cell((weights[..., None] * x).sum(1), state)
            states.append(state[0])
        rest = self.attend(keys, state[0], mask).log_softmax(1).clamp(-UNSEEN, 0)
        return self.classifier(torch.stack(states).mean(0)), torch.where(score > -UNSEEN, score, rest - UNSEEN)


class AdaFrame(_Policy):
    """Wu et al. 2019 (arXiv 1811.12432): an LSTM with a global memory decides where to look next, and whether to stop.

    Each step reads one clip and, by attention, the memory (all clips, with sines of their places); it gives classes,
    the expected future reward (utility) and a place in [0, 1] to look at next, drawn from a Gaussian in training. The
    reward of a step is by how much the true class' margin rises above its best so far. forward: float [B, N, D], mask
    bool [B, N], labels int64 [B] or None -> (loss or None, score [B, N]): score is the utility when a clip was taken,
    made to fall from step to step, so that one threshold on it stops each video at its own K.
    """

    def __init__(self, mean, std, num_classes, width=96, dropout=0.2, steps=10):
        super().__init__(mean, std, num_classes, width, dropout, 2 * width)
        self.steps, self.place, self.utility = steps, nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, features, mask, labels=None):
        x, _, state = self.start(features)
        n = mask.sum(1)
        at = (torch.arange(mask.shape[1]) + 0.5) / n[:, None]  # the clips' places
        waves = at[..., None] * torch.pi * torch.arange(1, x.shape[2] // 2 + 1)
        keys = self.key(x + torch.cat([waves.sin(), waves.cos()], -1))
        left, score, floor = mask.clone(), torch.full(mask.shape, -UNSEEN), torch.full((len(x),), UNSEEN)
        where, steps, places = torch.full((len(x),), 0.5), [], []
        for step in range(min(self.steps, mask.shape[1])):
            allowed = torch.where(left.any(1, keepdim=True), left, mask)
            now = (at - where[:, None]).abs().masked_fill(~allowed, torch.inf).argmin(1, keepdim=True)
            memory = (self.attend(keys, state[0], mask).softmax(1)[..., None] * x).sum(1)
            current = x.gather(1, now[..., None].expand(-1, -1, x.shape[2])).squeeze(1)
            state = self.cell(torch.cat([current, memory], 1), state)
            utility, centre = self.utility(state[0]).squeeze(1), self.place(state[0]).squeeze(1).sigmoid()
            floor = torch.minimum(floor - 1e-4, utility.detach())
            new = left.gather(1, now).squeeze(1)
            if step == 0:  # every video has its first clip
                value = torch.full_like(floor, UNSEEN)
            score.scatter_(1, now, torch.where(new, value, score.gather(1, now).squeeze(1))[:, None])
            value = floor  # what the state expects of going on: the next clip's score
            left.scatter_(1, now, False)
            drawn = centre.detach() + SIGMA * torch.randn_like(centre) * self.training
            places.append(-((drawn - centre) ** 2) / (2 * SIGMA**2))
            steps.append((self.classifier(state[0]), utility))
            where = drawn.clamp(0, 1)
        return (None if labels is None else _adaframe_loss(steps, places, labels)), score


def _adaframe_loss(steps, log_places, labels):
    """Cross-entropy of all steps, squared error of the utility, and REINFORCE with the utility as its baseline."""
    logits = torch.stack([one for one, _ in steps])  # (T, B, C)
    utility = torch.stack([one for _, one in steps])
    probs = logits.detach().softmax(-1)
    true = probs.gather(2, labels.expand(len(steps), -1)[..., None]).squeeze(2)
    other = probs.scatter(2, labels.expand(len(steps), -1)[..., None], -1.0).amax(2)
    margin = true - other
    best = margin.cummax(0).values
    reward = F.pad((best[1:] - best[:-1]), (0, 0, 0, 1))  # of the step that follows
    returns, ahead = [], torch.zeros_like(reward[0])
    for one in reward.flip(0):
        ahead = one + GAMMA * ahead
        returns.append(ahead)
    returns = torch.stack(returns).flip(0)
    classes = F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(steps)))
    policy = -(torch.stack(log_places) * (returns - utility.detach())).mean()
    return classes + F.mse_loss(utility, returns) + policy


POLICIES = {"listen_to_look": ListenToLook, "adaframe": AdaFrame}


def fit_policy(name, train, val, num_classes, width=96, dropout=0.2, steps=10, seed=0, **options):
    """(one of POLICIES, history) trained on the videos of `train`; options: of fit. ValueError for another name."""
    if name not in POLICIES:
        raise ValueError(f"policy: {name!r} is unknown; expected one of {', '.join(POLICIES)}")
    torch.manual_seed(seed)
    policy = POLICIES[name](*moments(train), num_classes, width, dropout, steps)

    def loss(batch):
        if name == "adaframe":
            return policy(batch["features"], batch["mask"], batch["labels"])[0], {}
        return F.cross_entropy(policy(batch["features"], batch["mask"])[0], batch["labels"]), {}

    return policy, fit(policy, loss, train, val, seed=seed, desc=name, **options)


@torch.inference_mode()
def policy_scores(policy, arrays, batch_videos=128):
    """The score table of a policy: video, clip, score; the clip that it takes first has the highest."""
    policy.eval()
    tables = []
    for rows, batch in video_batches(arrays, batch_videos):
        score = policy(batch["features"], batch["mask"])[1][batch["mask"]].numpy()
        where, clip = np.nonzero(batch["mask"].numpy())
        tables.append(pd.DataFrame({"video": arrays.videos[rows][where], "clip": clip, "score": score}))
    return pd.concat(tables, ignore_index=True)
