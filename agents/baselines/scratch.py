"""What meta-training is worth: the same network trained from random weights on the support drawings alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as fn

from ..convnet import NETS, ConvNet, ConvNetCfg, features
from ..maml import accuracy, labels, to_pictures


@dataclass(frozen=True)
class ScratchCfg:
    """Back-propagation through all layers."""

    steps: int = 20
    """Full-batch steps of Adam; the support is answered without a mistake well before the last."""
    rate: float = 1e-2
    """Adam's rate."""


def scratch_accuracy(
    episodes: Any, generator: torch.Generator, cfg: ScratchCfg = ScratchCfg(), net: ConvNetCfg = NETS["small"]
) -> tuple[Tensor, Tensor]:
    """Return the accuracy on support and query drawings after training, each (tasks,).

    Batch norm uses the support's statistics for both: the queries are not looked at.

    Args:
        episodes: `support` (tasks, N, K, 28, 28) and `query` (tasks, N, Q, 28, 28), uint8 arrays.
        generator: Draws the weights of each task anew.
        cfg: Training.
        net: Network.
    """
    found = [
        _one(torch.from_numpy(s), torch.from_numpy(q), generator, cfg, net)
        for s, q in zip(episodes.support, episodes.query, strict=True)
    ]
    known, asked = torch.stack(found).T
    return known, asked


def _one(support: Tensor, query: Tensor, generator: torch.Generator, cfg: ScratchCfg, net: ConvNetCfg) -> Tensor:
    """Return one task's accuracy on support and query."""
    ways = support.shape[0]
    known, asked = labels(ways, support.shape[1]), labels(ways, query.shape[1])
    pictures, questions = to_pictures(support), to_pictures(query)
    fresh = ConvNet(net)
    fresh.draw(generator)
    kernels = list(fresh.kernel)
    readout = torch.zeros(ways, net.n_inputs, requires_grad=True)
    adam = torch.optim.Adam([*kernels, readout], lr=cfg.rate)
    for _ in range(cfg.steps):
        adam.zero_grad()
        fn.cross_entropy(features(pictures, kernels, net)[0] @ readout.T, known).backward()
        adam.step()
    with torch.no_grad():
        inputs, seen = features(pictures, kernels, net)
        answers = features(questions, kernels, net, seen)[0] @ readout.T
        return torch.stack([accuracy(inputs @ readout.T, known), accuracy(answers, asked)])
