"""Context adaptation without device writes, in the manner of CAVIA (Zintgraf et al., ICML 2019).

A context vector is one more input of the network. It begins each task at zero, and after each episode a few steps of
gradient descent on the hindsight loss move it and nothing else: the error of the command that was issued for the
acceleration that it bought, the loss of the delta learner's lesson. Weights and the context's rates are
meta-trained through these steps on the delta learner's data and outer loss. On a chip all layers are programmed once
and never written; the context is digital, and its gradient takes activities as the chip says them and weights from a
digital copy of what meta-training left.
"""

from __future__ import annotations

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
from .net_chip import NetSubstrate
from .tanh_net import forward, initialise_tables, layer_tables, noisy, pushes, read_noise


@dataclass(frozen=True)
class CaviaCfg:
    """The inner loop."""

    contexts: int = 16
    """Numbers in the context."""
    inner_steps: int = 3
    """Steps of gradient descent after each episode."""
    inner_rate: float = 1.0
    """Rate that the learned logarithms start from, per step."""
    error_clip: float = 3.0
    """Errors are clipped here, in network units, as the delta learner's are."""
    lags: int = 3
    """Control steps over which the trace of past commands reaches."""
    inner_stride: int = 2
    """Control steps from one that a step of descent looks at to the next: halves the work of meta-training."""

    def __post_init__(self) -> None:
        """Refuse a rule that cannot learn."""
        check_above_zero(self, "contexts", "inner_steps", "inner_rate", "error_clip", "lags", "inner_stride")


class CaviaLearner(nn.Module):
    """All that meta-training learns: the network, a rate for each number of the context, and a trace."""

    action_scale: Tensor

    def __init__(self, network: NetworkCfg, rule: CaviaCfg, action_scale: Tensor) -> None:
        """Build an untrained learner; sizes and units as the delta learner's."""
        super().__init__()
        self.network, self.rule = network, rule
        widths = (network.n_inputs + rule.contexts, network.hidden, network.hidden, network.n_features - 1)
        self.tables = layer_tables((*widths, network.n_joints))
        self.log_rate = nn.Parameter(torch.zeros(rule.contexts))
        self.trace_logit = nn.Parameter(torch.zeros(rule.lags))
        self.register_buffer("action_scale", action_scale.clone().float())

    @property
    def rate(self) -> Tensor:
        """Learned rate of each number of the context, (C,)."""
        return self.rule.inner_rate * torch.exp(self.log_rate)

    @property
    def trace(self) -> Tensor:
        """Learned weight of each lag in the trace of commands, (lags,), summing to 1."""
        return torch.softmax(self.trace_logit, dim=0)

    def draw(self, generator: torch.Generator) -> None:
        """Start the layers anew from `generator`."""
        initialise_tables(self.tables, generator)


def joined(x: Tensor, context: Tensor) -> Tensor:
    """Return inputs (N, T, n + C): the tanh of the contexts (N, C) at every step, so that converters hold them."""
    return torch.cat([x, torch.tanh(context)[:, None].expand(-1, x.shape[-2], -1)], dim=-1)


def context_step(
    learner: CaviaLearner, context: Tensor, inputs: list[Tensor], output: Tensor, target: Tensor
) -> Tensor:
    """Return the contexts (N, C) after one step of gradient descent.

    Args:
        learner: Rates, and the weights that errors are sent back through.
        context: The contexts that were read with.
        inputs: Inputs of every layer, as read, each (N, T, in + 1).
        output: What the network said, (N, T, J).
        target: The trace of the commands that were issued, (N, T, J).
    """
    error = (target - output).clamp(-learner.rule.error_clip, learner.rule.error_clip)
    at_input = pushes(list(learner.tables), inputs, error)[0]  # through the context's tanh as well
    return context + learner.rate * at_input[..., -learner.rule.contexts :].mean(dim=-2)


def predicted_rmse(
    learner: CaviaLearner, data: Experience, response: Tensor, noise: NoiseCfg, generator: torch.Generator
) -> Tensor:
    """Return the predicted tracking error (B, K) in rad, entry k after k lessons: the delta learner's loss."""
    tables = noisy(list(learner.tables), noise.fixed_noise, generator)
    wanted, label = pushed(learner, data, noise.push_rad_s2, generator)
    trace = command_trace(data.command, learner.trace)
    context = torch.zeros(data.command.shape[0], learner.rule.contexts)
    errors, n_episodes = [], data.command.shape[1]
    for k in range(n_episodes):
        said = read_noise(forward(tables, joined(wanted[:, k], context)), tables, noise.feature_noise, generator)
        errors.append(tracking_error(said.output, label[:, k], data.mobility[:, k], response))
        for _ in range(learner.rule.inner_steps if k < n_episodes - 1 else 0):
            said = forward(tables, joined(data.measured[:, k, :: learner.rule.inner_stride], context))
            said = read_noise(said, tables, noise.feature_noise, generator)
            target = trace[:, k, :: learner.rule.inner_stride]
            context = context_step(learner, context, said.inputs, said.output, target)
    return torch.stack(errors, dim=1)


class CaviaPolicy:
    """Encodes, reads, acts, and after each episode moves its arms' contexts."""

    def __init__(self, learner: CaviaLearner, substrate: NetSubstrate, arm_cfg: Any, n_arms: int) -> None:
        """Put a learner on a substrate, every arm's context at zero."""
        self._learner, self._substrate, self._arm = learner, substrate, arm_cfg
        self.context = torch.zeros(n_arms, learner.rule.contexts)

    def begin(self) -> None:
        """Nothing belongs to one episode."""

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """Return actions (N, J) for observations (N, n_obs)."""
        x = foresight(self._learner, self._arm, observation)
        command = self._substrate.read(joined(x, self.context)).output
        return (command * self._learner.action_scale).clamp(-1.0, 1.0)[:, 0].numpy()

    @torch.no_grad()
    def learn(self, episode: Episode) -> None:
        """Read the episode in hindsight and move the contexts; nothing is written."""
        stride = self._learner.rule.inner_stride
        x = hindsight(self._learner, self._arm, episode)[:, ::stride]
        target = issued(self._learner, episode)[:, ::stride]
        for _ in range(self._learner.rule.inner_steps):
            said = self._substrate.read(joined(x, self.context))
            self.context = context_step(self._learner, self.context, said.inputs, said.output, target)


@torch.no_grad()
def working_range(learner: CaviaLearner, data: Experience, n_inputs: int = 256) -> dict[str, Tensor]:
    """Return what deployment is calibrated with: inputs (n_inputs, n + C) with the contexts that adaptation reaches."""
    context = torch.zeros(data.command.shape[0], learner.rule.contexts)
    trace, seen, stride = command_trace(data.command, learner.trace), [], learner.rule.inner_stride
    for k in range(data.command.shape[1]):
        seen.append(joined(data.wanted[:, k], context))
        for _ in range(learner.rule.inner_steps):
            said = forward(list(learner.tables), joined(data.measured[:, k, ::stride], context))
            context = context_step(learner, context, said.inputs, said.output, trace[:, k, ::stride])
    inputs = torch.stack(seen, dim=1).flatten(0, 2)
    every = max(1, inputs.shape[0] // n_inputs)
    return {"inputs": inputs[::every][:n_inputs].clone()}
