"""The same meta-gradient as textbook MAML: every task with its own copy of all weights, through torch.func.

`maml.py` is held against this by a test, and the bench measures both. Here each inner step differentiates the support
loss through the whole network, and the outer gradient differentiates through these gradients, task by task under vmap.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional as fn

from .convnet import ConvNetCfg, Statistics, group_norm, readout_inputs
from .maml import REFERENCE_WAYS, MamlLearner, labels

Weights = tuple[Tensor, ...]


def plain_meta_gradient(
    learner: MamlLearner, pictures: Tensor, shots: int, given: Statistics | None = None
) -> tuple[Weights, Tensor]:
    """Return the outer loss's gradient by the kernels and by the rates.

    Args:
        learner: Features and rates.
        pictures: (tasks, N, K + Q, C, H, W), the support drawings of a character first.
        shots: K.
        given: Statistics for batch norm; None: each task's own, support and queries each for themselves.
    """
    tasks = pictures.shape[0]
    kernels = tuple(kernel.detach().expand(tasks, *kernel.shape) for kernel in learner.net.kernel)
    rates = learner.rates.detach().expand(tasks, -1)

    def task_loss(kernels: Weights, rates: Tensor, drawings: Tensor) -> Tensor:
        return _task_loss(kernels, rates, drawings, shots, learner.net.cfg, given)

    by_kernels, by_rates = vmap(grad(task_loss, argnums=(0, 1)))(kernels, rates, pictures)
    return tuple(g.mean(0) for g in by_kernels), by_rates.mean(0)


def _task_loss(
    kernels: Weights, rates: Tensor, drawings: Tensor, shots: int, cfg: ConvNetCfg, given: Statistics | None
) -> Tensor:
    """Return one task's query loss after its inner steps."""
    ways = drawings.shape[0]
    support, query = drawings[:, :shots].flatten(0, 1), drawings[:, shots:].flatten(0, 1)

    def loss(readout: Tensor, pictures: Tensor) -> Tensor:
        logits = _features(pictures, kernels, cfg, given) @ readout.T
        return fn.cross_entropy(logits, labels(ways, pictures.shape[0] // ways, logits.device))

    readout = drawings.new_zeros(ways, cfg.n_inputs)
    for rate in rates:
        readout = readout - rate * (ways / REFERENCE_WAYS) * grad(loss)(readout, support)
    return loss(readout, query)


def _features(pictures: Tensor, kernels: Weights, cfg: ConvNetCfg, given: Statistics | None) -> Tensor:
    """Return the readout's inputs for one task's pictures."""
    x = pictures
    for layer, kernel in enumerate(kernels):
        x = fn.relu(fn.conv2d(x, kernel, stride=2, padding=1))
        if given is None:
            var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            x = group_norm(x, mean[None], var[None], cfg.eps)
        else:
            x = group_norm(x, given.mean[layer], given.var[layer], cfg.eps)
    return readout_inputs(x, cfg)
