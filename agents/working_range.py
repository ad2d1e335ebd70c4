"""What deployment is calibrated with: the ranges that meta-training saw after adaptation."""

from __future__ import annotations

import torch
from torch import Tensor

from .delta import DeltaLearner, Lesson, command_trace, head_increment
from .experience import Experience


@torch.no_grad()
def working_range(learner: DeltaLearner, data: Experience, quantile: float = 0.999) -> dict[str, Tensor]:
    """Return what deployment is calibrated with: encoded inputs, and the ranges that adapted heads reach.

    Returns:
        inputs: (256, n_inputs), spread over bodies and episodes. head_range: (J,), `quantile` of adapted |weight|.
        head_output: (J,), `quantile` of the adapted head's |output|.
    """
    wanted, measured = learner.fixed(data.wanted), learner.fixed(data.measured)
    head = data.first_heads(learner.head)
    trace = command_trace(data.command, learner.trace)
    heads, outputs = [head], []
    for k in range(data.command.shape[1]):
        outputs.append(wanted.features[:, k] @ head.transpose(-1, -2))
        said = measured.features[:, k] @ head.transpose(-1, -2)
        outputs.append(said)
        lesson = Lesson(measured.features[:, k], trace[:, k], measured.command[:, k], said)
        head = head + head_increment(lesson, learner.rate, learner.rule)
        heads.append(head)
    spread = torch.stack(heads).abs().permute(2, 0, 1, 3).flatten(1)  # (J, all)
    output = torch.stack(outputs).abs().flatten(0, -2).T  # (J, all)
    inputs = data.wanted.flatten(0, 2)
    every = max(1, inputs.shape[0] // 256)
    return {
        "inputs": inputs[::every][:256].clone(),
        "head_range": upper(spread, quantile),
        "head_output": upper(output, quantile),
    }


@torch.no_grad()
def added_by_lessons(learner: DeltaLearner, data: Experience) -> Tensor:
    """Return what all lessons of these trials, the last episode's among them, have added to the start, (B, J, D)."""
    head = data.first_heads(learner.head)
    trace = command_trace(data.command, learner.trace)
    for k in range(data.command.shape[1]):
        measured = learner.fixed(data.measured[:, k])
        said = measured.features @ head.transpose(-1, -2)
        lesson = Lesson(measured.features, trace[:, k], measured.command, said)
        head = head + head_increment(lesson, learner.rate, learner.rule)
    return head - learner.head


def upper(values: Tensor, quantile: float) -> Tensor:
    """Return a quantile along the last axis; sorting, since torch.quantile refuses large inputs."""
    ordered = values.sort(dim=-1).values
    return ordered[..., min(ordered.shape[-1] - 1, int(quantile * ordered.shape[-1]))].clone()
