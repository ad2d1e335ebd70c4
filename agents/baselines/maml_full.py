"""Full-weight MAML (Finn et al., ICML 2017): after each episode every layer is written, one step of descent at a time.

The loss is the delta learner's in hindsight, with a learned rate for each layer (Meta-SGD, Li et al. 2017), and
the outer loop, of second order, uses the delta learner's data and loss. On a chip every layer of every task is
programmed and written; errors are sent back through a digital copy of the weights that the writes aimed at, with the
activities that the chip said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import check_above_zero
from ..delta import command_trace
from ..episodes import Array, Episode
from ..experience import Experience
from ..network import NetworkCfg
from ..outer import NoiseCfg, pushed, tracking_error
from ..policy import foresight, hindsight, issued
from .net_chip import NetSubstrate, Written
from .tanh_net import forward, increments, initialise_tables, layer_tables, noisy, pushes, read_noise


@dataclass(frozen=True)
class MamlCfg:
    """The inner loop."""

    inner_steps: int = 2
    """Steps of gradient descent after each episode; all layers are written after each."""
    inner_rate: float = 0.05
    """Rate that the learned logarithms start from, per step."""
    error_clip: float = 3.0
    """Errors are clipped here, in network units, as the delta learner's are."""
    lags: int = 3
    """Control steps over which the trace of past commands reaches."""
    inner_stride: int = 2
    """Control steps from one that a step of descent looks at to the next: halves the work of meta-training."""

    def __post_init__(self) -> None:
        """Refuse a rule that cannot learn."""
        check_above_zero(self, "inner_steps", "inner_rate", "error_clip", "lags", "inner_stride")


class MamlLearner(nn.Module):
    """All that meta-training learns: where every weight starts, a rate for each layer, and a trace."""

    action_scale: Tensor

    def __init__(self, network: NetworkCfg, rule: MamlCfg, action_scale: Tensor) -> None:
        """Build an untrained learner; sizes and units as the delta learner's."""
        super().__init__()
        self.network, self.rule = network, rule
        widths = (network.n_inputs, network.hidden, network.hidden, network.n_features - 1, network.n_joints)
        self.tables = layer_tables(widths)
        self.log_rate = nn.Parameter(torch.zeros(len(self.tables)))
        self.trace_logit = nn.Parameter(torch.zeros(rule.lags))
        self.register_buffer("action_scale", action_scale.clone().float())

    @property
    def rate(self) -> Tensor:
        """Learned rate of each layer, (L,)."""
        return self.rule.inner_rate * torch.exp(self.log_rate)

    @property
    def trace(self) -> Tensor:
        """Learned weight of each lag in the trace of commands, (lags,), summing to 1."""
        return torch.softmax(self.trace_logit, dim=0)

    def draw(self, generator: torch.Generator) -> None:
        """Start the layers anew from `generator`."""
        initialise_tables(self.tables, generator)


def layer_steps(
    learner: MamlLearner, tables: Sequence[Tensor], inputs: list[Tensor], output: Tensor, target: Tensor
) -> list[Tensor]:
    """Return what one step of descent adds to each layer's table, (N, out, in + 1).

    Args:
        learner: Rates and the clip of the error.
        tables: The weights that errors are sent back through, (N, out, in + 1) or one for all.
        inputs: Inputs of every layer, as read, each (N, T, in + 1).
        output: What the network said, (N, T, J).
        target: The trace of the commands that were issued, (N, T, J).
    """
    error = (target - output).clamp(-learner.rule.error_clip, learner.rule.error_clip)
    steps = increments(pushes(tables, inputs, error), inputs)
    return [rate * step for rate, step in zip(learner.rate, steps, strict=True)]


def predicted_rmse(
    learner: MamlLearner, data: Experience, response: Tensor, noise: NoiseCfg, generator: torch.Generator
) -> Tensor:
    """Return the predicted tracking error (B, K) in rad, entry k after k lessons: the delta learner's loss."""
    n_bodies, n_episodes = data.command.shape[:2]
    wanted, label = pushed(learner, data, noise.push_rad_s2, generator)
    trace = command_trace(data.command, learner.trace)
    tables = noisy([t.expand(n_bodies, -1, -1) for t in learner.tables], noise.fixed_noise, generator)
    errors = []
    for k in range(n_episodes):
        said = read_noise(forward(tables, wanted[:, k]), tables, noise.feature_noise, generator)
        errors.append(tracking_error(said.output, label[:, k], data.mobility[:, k], response))
        x, target = (part[:, k, :: learner.rule.inner_stride] for part in (data.measured, trace))
        for _ in range(learner.rule.inner_steps if k < n_episodes - 1 else 0):
            said = read_noise(forward(tables, x), tables, noise.feature_noise, generator)
            steps = layer_steps(learner, tables, said.inputs, said.output, target)
            tables = noisy([t + s for t, s in zip(tables, steps, strict=True)], noise.head_noise, generator)
    return torch.stack(errors, dim=1)


class MamlPolicy:
    """Encodes, reads, acts, and after each episode writes all of its arms' layers."""

    def __init__(self, learner: MamlLearner, substrate: NetSubstrate, arm_cfg: Any, n_arms: int) -> None:
        """Put a learner on a substrate that holds weights of each arm's own."""
        self._learner, self._substrate, self._arm = learner, substrate, arm_cfg
        self.aimed = [table.detach().expand(n_arms, -1, -1) for table in learner.tables]

    def begin(self) -> None:
        """Nothing belongs to one episode."""

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """Return actions (N, J) for observations (N, n_obs)."""
        x = foresight(self._learner, self._arm, observation)
        return (self._substrate.read(x).output * self._learner.action_scale).clamp(-1.0, 1.0)[:, 0].numpy()

    @torch.no_grad()
    def learn(self, episode: Episode) -> Written | None:
        """Read the episode in hindsight and write every layer, once a step; return what that took."""
        stride = self._learner.rule.inner_stride
        x = hindsight(self._learner, self._arm, episode)[:, ::stride]
        target = issued(self._learner, episode)[:, ::stride]
        reports = []
        for _ in range(self._learner.rule.inner_steps):
            said = self._substrate.read(x)
            steps = layer_steps(self._learner, self.aimed, said.inputs, said.output, target)
            self.aimed = [table + step for table, step in zip(self.aimed, steps, strict=True)]
            reports.append(self._substrate.write(steps))
        self._substrate.rest()
        return Written.total(reports)


@torch.no_grad()
def working_range(
    learner: MamlLearner, data: Experience, quantile: float = 0.999, n_inputs: int = 256
) -> dict[str, Tensor]:
    """Return what deployment is calibrated with: inputs, and the ranges that adapted layers and sums reach.

    Returns:
        inputs: (n_inputs, n). weights.L, sums.L: (out,) of layer L, `quantile` of the adapted |weight| and |sum|.
    """
    tables = [table.expand(data.command.shape[0], -1, -1) for table in learner.tables]
    trace, stride = command_trace(data.command, learner.trace), learner.rule.inner_stride
    weights: list[list[Tensor]] = [[table] for table in tables]
    sums: list[list[Tensor]] = [[] for _ in tables]
    for k in range(data.command.shape[1]):
        for _ in range(learner.rule.inner_steps):
            said = forward(tables, data.measured[:, k, ::stride])
            for layer, (given, table) in enumerate(zip(said.inputs, tables, strict=True)):
                sums[layer].append(given @ table.mT)
                weights[layer].append(table)
            steps = layer_steps(learner, tables, said.inputs, said.output, trace[:, k, ::stride])
            tables = [t + s for t, s in zip(tables, steps, strict=True)]
    found = {f"weights.{n}": _upper(torch.cat(w, dim=-1).abs(), quantile) for n, w in enumerate(weights)}
    found |= {f"sums.{n}": _upper(torch.cat(s, dim=-2).mT.abs(), quantile) for n, s in enumerate(sums)}
    inputs = data.wanted.flatten(0, 2)
    every = max(1, inputs.shape[0] // n_inputs)
    return {"inputs": inputs[::every][:n_inputs].clone(), **found}


def _upper(values: Tensor, quantile: float) -> Tensor:
    """Return a quantile of each output line over tasks and the last axis of values (N, out, M)."""
    ordered = values.transpose(0, 1).flatten(1).sort(dim=-1).values
    return ordered[..., min(ordered.shape[-1] - 1, int(quantile * ordered.shape[-1]))].clone()
