"""What deployment of the reward learner is calibrated with: what meta-training saw."""

from __future__ import annotations

import torch
from torch import Tensor

from .reward import RewardLearner
from .reward_trials import Trials, fixed_inputs
from .working_range import upper


@torch.no_grad()
def working_range(learner: RewardLearner, trials: Trials, quantile: float = 0.999) -> dict[str, Tensor]:
    """Return encoded inputs, and the ranges that adapted heads reach.

    Returns:
        inputs: (256, n_inputs), spread over bodies and episodes. head_range: (J,), `quantile` of adapted |weight|.
        head_output: (J,), `quantile` of the adapted head's |output|.
    """
    read = fixed_inputs(learner, trials)
    inputs = read.flatten(0, 2)
    heads = trials.head.abs().permute(2, 0, 1, 3).flatten(1)  # (J, all)
    features = learner.fixed(read).features
    said = features @ trials.head.transpose(-1, -2)
    every = max(1, inputs.shape[0] // 256)
    return {
        "inputs": inputs[::every][:256].clone(),
        "head_range": upper(heads, quantile),
        "head_output": upper(said.abs().flatten(0, -2).T, quantile),
    }
