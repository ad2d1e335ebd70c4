"""The reward learner: one write after each episode, driven by learned signals instead of an error that was told.

A head reads features of what the arm senses; a small network sees every transition and emits one learning signal per
output; the increment of the head is a learned rate times the mean over the episode of signal times activity. It is the
reinforcement-learning sibling of the learning-signal generator of Ortner, Petschenig et al. (Nat. Commun. 16, 2025):
what the signals should be is found by the outer loop from reward alone.

Which way a motor turns is unknown, so the signals treat a command and its opposite alike: the network emits modulators,
and the signal of an output is the sum of that output's own recent commands, each times its modulator. A body whose
motor is reversed (or, with `shared_motors`, whose motors are swapped) thus teaches something about every other. As in
three-factor rules (Fremaux and Gerstner, Front. Neural Circuits 9, 2016), a modulator says how good it was. How the
joints have answered an output's commands shows what its motor moves: to its signal these answers are added, each times
what the network wants of that joint. What has been written shows the same to the policy, which so hears its own
commands as the joints got them (`reward_echo.py`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .network import Reading, initialise
from .reward_echo import echoes, lagged, lateness
from .reward_lateness import aligned, answers_at, late_steps, pending
from .reward_sense import RewardCfg


class ReachLayers(nn.Module):
    """The policy's layers that are programmed once: two of tanh, and the features."""

    def __init__(self, cfg: RewardCfg) -> None:
        """Build them."""
        super().__init__()
        self.first = nn.Linear(cfg.n_inputs, cfg.hidden)
        self.second = nn.Linear(cfg.hidden, cfg.hidden)
        self.feature = nn.Linear(cfg.hidden, cfg.n_features - 1)
        self._n_joints = cfg.n_joints

    def forward(self, x: Tensor) -> Reading:
        """Return the features of encoded observations (..., n_inputs), and no innate command."""
        features = torch.tanh(self.feature(torch.tanh(self.second(torch.tanh(self.first(x))))))
        nothing = torch.zeros_like(features[..., :1]).expand(*features.shape[:-1], self._n_joints)
        return Reading(torch.cat([features, torch.ones_like(features[..., :1])], dim=-1), nothing)


class Lesson(NamedTuple):
    """One episode of N arms over T steps, as the signals see it."""

    sensed: Tensor  # (N, T, n_sensed) of every transition, beside commands and features
    heard: Tensor  # (N, T, n_heard) echoes of own commands
    features: Tensor  # (N, T, D) as they were read while acting
    command: Tensor  # (N, T, J) what was issued, in network units
    mean: Tensor  # (N, T, J) what would have been issued without exploration
    correlation: Tensor  # (N, 2, A, J, J) of the body's answers so far, the episode's own among them


class SignalNetwork(nn.Module):
    """From transitions to modulators: two gated layers, since evidence is a product of what was seen.

    A gated unit is (a z) tanh(b z), linear in one reading of its input and switched by another (gated linear units,
    Dauphin et al., ICML 2017): which way the arm was pushed times which way it should go is one product of two sums.
    """

    def __init__(self, cfg: RewardCfg) -> None:
        """Build it."""
        super().__init__()
        n, width, outputs = cfg.n_transition, cfg.gates, 1 if cfg.shared_motors else cfg.n_joints
        self.value_first, self.gate_first = nn.Linear(n, width), nn.Linear(n, width)
        self.value_second, self.gate_second = nn.Linear(n + width, width), nn.Linear(n + width, width)
        self.modulator = nn.Linear(2 * width, outputs * cfg.n_modulators + cfg.n_taught)
        self._shape = (outputs, cfg.n_modulators)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return modulators (N, T, 1 or J, n_modulators) of transitions (N, T, n_transition), and (N, T, n_taught)."""
        one = self.value_first(z) * torch.tanh(self.gate_first(z))
        both = torch.cat([z, one], dim=-1)
        two = self.value_second(both) * torch.tanh(self.gate_second(both))
        said = self.modulator(torch.cat([one, two], dim=-1))
        n_modulators = math.prod(self._shape)
        return said[..., :n_modulators].unflatten(-1, self._shape), said[..., n_modulators:]


def increment(signal: Tensor, features: Tensor, rate: Tensor) -> Tensor:
    """Return rate times the mean over time of signal times activity, (N, J, D).

    Args:
        signal: One per output, (N, T, J).
        features: Activity, (N, T, D).
        rate: Learned rate per weight, (J, D) or (1, D).
    """
    return rate * (signal.transpose(-1, -2) @ features) / features.shape[-2]


class RewardLearner(nn.Module):
    """All that meta-training learns: features, the head's start, rates, the network of signals, and exploration."""

    action_scale: Tensor
    spread: Tensor

    def __init__(self, network: RewardCfg, spread: tuple[float, ...], action_scale: Tensor) -> None:
        """Build an untrained learner.

        Args:
            network: Sizes.
            spread: Standard deviation of exploration in episodes 0, 1, ..., in network units; later ones as the last.
            action_scale: Action that one network unit stands for, (J,).
        """
        super().__init__()
        self.network = network
        self.fixed, self.signals = ReachLayers(network), SignalNetwork(network)
        rows = 1 if network.shared_motors else network.n_joints
        self.head = nn.Parameter(torch.zeros(network.n_joints, network.n_features))
        if network.n_heard:
            self.compass = nn.Parameter(torch.zeros(network.n_joints, network.n_features))
        self.log_rate = nn.Parameter(torch.full((rows, network.n_features), math.log(network.rate)))
        self.register_buffer("spread", torch.tensor(spread))
        self.register_buffer("action_scale", action_scale.clone().float())

    def draw(self, generator: torch.Generator) -> None:
        """Start all layers anew from `generator`."""
        initialise(self, generator)

    def mean(self, head_output: Tensor) -> Tensor:
        """Return the mean command for what the head says, in network units."""
        clip = self.network.command_clip
        return clip * torch.tanh(head_output / clip)

    def wiring(self, head: Tensor) -> Tensor:
        """Return which joint each command moves, as the head (N, J, D) has it: (N, J commands, J joints)."""
        return head @ self.compass.T if self.network.n_heard else head[..., :0]

    def hear(self, command: Tensor, wiring: Tensor, correlation: Tensor) -> Tensor:
        """Return what the fixed layers hear at each step of an episode, (N, T, n_heard).

        Args:
            command: Commands as the motors took them, (N, T, J).
            wiring: Found so far, (N, J, J).
            correlation: Of the body's answers in earlier episodes, (N, 2, answers, J, J).
        """
        cfg = self.network
        parts = [command[..., :0]]
        if cfg.echoes:
            told = echoes(command, wiring, cfg.echoes)
            parts.append(told * pending(late_steps(correlation), cfg.echoes, cfg.n_joints) if cfg.looks_ahead else told)
        if cfg.answers:
            parts.append(lateness(correlation, wiring)[:, None].expand(-1, command.shape[1], -1))
        return torch.cat(parts, dim=-1)

    def late(self, correlation: Tensor) -> Tensor:
        """Return by how many steps lessons are shifted and the policy leads, (N,), by correlations (N, 2, A, J, J)."""
        if not self.network.looks_ahead:
            return torch.zeros(len(correlation), dtype=torch.int64)
        return late_steps(correlation)

    def cut(self, command: Tensor) -> Tensor:
        """Return commands as the motors take them: actions are cut to -1 and 1."""
        return (command * self.action_scale).clamp(-1.0, 1.0) / self.action_scale

    def signal(self, lesson: Lesson) -> Tensor:
        """Return the learning signals (N, T, J) of an episode."""
        cfg, late = self.network, self.late(lesson.correlation)
        sensed, answered = aligned(lesson.sensed, late)
        modulators, wanted = self.signals(torch.cat([sensed, lesson.heard, lesson.features], dim=-1))
        own = [lagged(lesson.command, cfg.lags), lagged(lesson.command - lesson.mean, cfg.lags), lesson.mean[..., None]]
        raw = (torch.cat(own, dim=-1) * modulators).sum(dim=-1)
        if cfg.answers_teach:
            raw = raw + wanted @ answers_at(lesson.correlation, late_steps(lesson.correlation))
        return cfg.signal_clip * torch.tanh(raw / cfg.signal_clip) * answered

    def lesson_increment(self, lesson: Lesson) -> Tensor:
        """Return what one episode adds to the head, (N, J, D)."""
        return increment(self.signal(lesson), lesson.features, self.log_rate.exp())
