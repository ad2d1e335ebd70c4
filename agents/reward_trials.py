"""Whole trials of many arms: several episodes on one body, the head written between each two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .episodes import Array, run_episode
from .reward import Lesson, RewardLearner
from .reward_noise import HardwareCfg, NoisySubstrate, span_of
from .reward_policy import RewardPolicy


class Trials(NamedTuple):
    """B trials of K episodes of T steps; commands in network units."""

    seen: Tensor  # (B, K, T + 1, n_obs)
    encoded: Tensor  # (B, K, T, n_encoded) what the policy saw of it
    sensed: Tensor  # (B, K, T, n_sensed) what the signals see of it
    command: Tensor  # (B, K, T, J) what was issued, exploration included
    mean: Tensor  # (B, K, T, J) what would have been without it
    reward: Tensor  # (B, K, T)
    error: Tensor  # (B, K), as the world measures an episode
    head: Tensor  # (B, K, J, D) in each episode
    correlation: Tensor  # (B, K, 2, answers, J, J) of the body's answers before each episode
    read_noise: Tensor | None  # (B, K, T, D) of the features
    write_noise: Tensor | None  # (B, K - 1, J, D) that each write left

    def of(self, rows: Tensor) -> Trials:
        """Return some of the trials."""
        return self._replace(**{name: part[rows] for name, part in self._asdict().items() if part is not None})


def gather_trials(
    env: Any, learner: RewardLearner, tasks: Sequence[Any], n_episodes: int, hardware: HardwareCfg, seed: int
) -> Trials:
    """Run a trial on each task in software.

    Raises:
        ValueError: A task belongs to the test split.
    """
    for task in tasks:
        task.require_split("train")
    generator = torch.Generator().manual_seed(seed)
    substrate = NoisySubstrate(learner, len(tasks), hardware, generator)
    policy = RewardPolicy(learner, substrate, env.unwrapped.unpack, generator)
    env.unwrapped.set_tasks(list(tasks))
    first = int(np.random.default_rng(seed).integers(2**30))
    observation, _ = env.reset(seed=list(range(first, first + len(tasks))))
    fields: list[tuple[Tensor, ...]] = []
    for number in range(n_episodes):
        policy.begin()
        head = substrate.weights
        episode, observation = run_episode(env, policy.act, observation)
        lesson = policy.lesson(episode)
        now, earned, missed = (_tensor(part) for part in (episode.observation, episode.reward, episode.error))
        fields.append(
            (now, policy.encoded, lesson.sensed, policy.commands, lesson.mean, earned, missed, head, policy.correlation)
        )
        if number < n_episodes - 1:
            policy.learn(episode)
    seen, encoded, sensed, command, mean, reward, error, heads, answers = (
        torch.stack(f, dim=1) for f in zip(*fields, strict=True)
    )
    noise = substrate.read_noise(n_episodes), substrate.write_noise()
    return Trials(seen, encoded, sensed, command, mean, reward, error, heads, answers, *noise)


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


class Replay(NamedTuple):
    """A trial gone through again with the present parameters."""

    mean: Tensor  # (B, K, T, J) mean commands
    written: Tensor  # (B, K - 1) sum of the absolute increments over the largest weight of each output


def replay(learner: RewardLearner, trials: Trials) -> Replay:
    """Return the mean commands that the learner would give now along the same trials, every write gone through again.

    What was sensed, commanded and earned stays as it was; features, signals, increments and heads follow the
    parameters, so the likelihood of later episodes has a gradient in what wrote their head.
    """
    head = learner.head.expand(trials.seen.shape[0], -1, -1)
    aimed = head
    means, written, taken = [], [], learner.cut(trials.command)
    n_episodes = trials.seen.shape[1]
    for k in range(n_episodes):
        heard = learner.hear(taken[:, k], learner.wiring(aimed), trials.correlation[:, k])
        features = learner.fixed(torch.cat([trials.encoded[:, k], heard], dim=-1)).features
        if trials.read_noise is not None:
            features = features + trials.read_noise[:, k]
        means.append(learner.mean(features @ head.transpose(-1, -2)))
        if k == n_episodes - 1:
            break
        answers = trials.correlation[:, k + 1]
        step = learner.lesson_increment(Lesson(trials.sensed[:, k], heard, features, taken[:, k], means[-1], answers))
        head, aimed = head + step, aimed + step
        written.append((step.abs() / span_of(head)).sum(dim=(1, 2)))
        if trials.write_noise is not None:
            head = head + trials.write_noise[:, k]
    return Replay(torch.stack(means, dim=1), torch.stack(written, dim=1))


def fixed_inputs(learner: RewardLearner, trials: Trials) -> Tensor:
    """Return what the fixed layers read along trials, (B, K, T, n_inputs), by the heads as they were."""
    taken = learner.cut(trials.command)
    heard = [
        learner.hear(taken[:, k], learner.wiring(trials.head[:, k]), trials.correlation[:, k])
        for k in range(taken.shape[1])
    ]
    return torch.cat([trials.encoded, torch.stack(heard, dim=1)], dim=-1)
