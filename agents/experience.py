"""What meta-training learns from: closed-loop episodes of many bodies, labelled by the simulator's truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .baselines.controllers import Blend, ComputedTorque
from .episodes import Array, Controller, Episode, run_trial
from .network import Encoding, encode
from .policy import hindsight


class Experience(NamedTuple):
    """B bodies, K successive episodes each, T steps; commands in network units."""

    wanted: Tensor  # (B, K, T, n_inputs) state and wanted acceleration, encoded
    measured: Tensor  # (B, K, T, n_inputs) state and measured acceleration, encoded
    command: Tensor  # (B, K, T, J) what was issued
    label: Tensor  # (B, K, T, J) what the true body needed for the wanted acceleration
    inertia: Tensor  # (B, K, T, J, J) command that one rad/s2 of acceleration takes
    mobility: Tensor  # (B, K, T, J, J) its inverse
    rmse_rad: Tensor  # (B, K) error in closed loop
    added: Tensor | None = None  # (B, J, D) what lessons on other bodies had added to the head; None: nothing

    def __getitem__(self, index: Any) -> Experience:  # type: ignore[override]
        """Return the bodies of `index`."""
        fields: list[Any] = [None if field is None else field[index] for field in tuple.__iter__(self)]
        return Experience(*fields)

    def first_heads(self, start: Tensor) -> Tensor:
        """Return the heads (B, J, D) that the trials began with, of the learned start (J, D)."""
        heads = start.expand(self.command.shape[0], -1, -1)
        return heads if self.added is None else heads + self.added


Policy = Callable[[Any, int, Any], Controller]
"""From a learner, a number of arms and the arm's configuration to what drives them in software."""


def behaviour(
    env: Any, learner: Encoding, policy: Policy, tasks: Sequence[Any], warm: bool, rng: np.random.Generator
) -> Controller:
    """Return what drives the arms: the learner itself, or, while it knows nothing, blends of nominal and oracle."""
    if not warm:
        return policy(learner, len(tasks), env.unwrapped.arm_cfg)
    share = rng.uniform(0.0, 1.0, size=(len(tasks), 1))
    return Blend(ComputedTorque(env), ComputedTorque(env, tasks), share)


def gather(
    env: Any, learner: Encoding, policy: Policy, tasks: Sequence[Any], n_episodes: int, *, warm: bool, seed: int
) -> Experience:
    """Run `n_episodes` on each task in closed loop and label what was seen.

    Raises:
        ValueError: A task belongs to the test split.
    """
    for task in tasks:
        task.require_split("train")
    rng = np.random.default_rng(seed)
    first = int(rng.integers(2**30))
    seeds = range(first, first + len(tasks))
    episodes, _ = run_trial(env, behaviour(env, learner, policy, tasks, warm, rng), tasks, seeds, n_episodes)
    labelled = [_label(env, learner, tasks, episode) for episode in episodes]
    fields = [name for name in Experience._fields if name != "added"]
    return Experience(*(torch.stack([getattr(each, name) for each in labelled], dim=1) for name in fields))


def _label(env: Any, learner: Encoding, tasks: Sequence[Any], episode: Episode) -> Experience:
    """Return one episode's fields, without the axis of episodes."""
    arm = env.unwrapped.arm_cfg
    seen = torch.from_numpy(episode.observation[:, :-1])
    parts, wanted = arm.unpack(seen), arm.commanded_acceleration(seen)
    scale = learner.action_scale.numpy()
    label, inertia = truth(env, tasks, parts.q_rad.numpy(), parts.qd_rad_s.numpy(), wanted.numpy(), scale)
    return Experience(
        encode(learner.network, parts.q_rad, parts.qd_rad_s, wanted),
        hindsight(learner, arm, episode),
        torch.from_numpy((episode.action / scale).astype(np.float32)),
        torch.from_numpy(label),
        torch.from_numpy(inertia),
        torch.from_numpy(np.linalg.inv(inertia)),
        torch.from_numpy(episode.rmse_rad.astype(np.float32)),
    )


def truth(
    env: Any,
    tasks: Sequence[Any],
    q_rad: Array,
    qd_rad_s: Array,
    qdd_rad_s2: Array,
    scale: Array,
    stride: int = 5,
) -> tuple[Array, Array]:
    """Return the oracle's commands (N, T, J) and the inertia (N, T, J, J), in network units.

    The command is affine in the acceleration, so J more calls give its slope; the slope moves slowly and is taken
    at every `stride`-th step only.
    """
    world = env.unwrapped
    label = world.inverse_dynamics(q_rad, qd_rad_s, qdd_rad_s2, tasks)
    coarse = [array[:, ::stride] for array in (q_rad, qd_rad_s, qdd_rad_s2)]
    base = label[:, ::stride]
    columns = []
    for joint in range(q_rad.shape[-1]):
        push = np.zeros(q_rad.shape[-1])
        push[joint] = 1.0
        columns.append(world.inverse_dynamics(coarse[0], coarse[1], coarse[2] + push, tasks) - base)
    inertia = np.stack(columns, axis=-1) / scale[:, None]  # (N, T / stride, J, J)
    inertia = np.repeat(inertia, stride, axis=1)[:, : q_rad.shape[1]]
    return (np.clip(label, -1.0, 1.0) / scale).astype(np.float32), inertia.astype(np.float32)


def command_spread(env: Any, tasks: Sequence[Any], seed: int) -> Tensor:
    """Return the unit of commands: the spread of the nominal arm's on its references, (J,)."""
    episodes, _ = run_trial(env, ComputedTorque(env), tasks, range(seed, seed + len(tasks)), 1)
    arm = env.unwrapped.arm_cfg
    parts = arm.unpack(episodes[0].observation)
    ideal = env.unwrapped.inverse_dynamics(parts.q_ref_rad, parts.qd_ref_rad_s, parts.qdd_ref_rad_s2, None)
    return torch.from_numpy(ideal.reshape(-1, ideal.shape[-1]).std(axis=0)).float()
