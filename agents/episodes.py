"""Episodes of many arms at once: what was observed, what was done, how far it was off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import envs  # noqa: F401  registers the families of tasks

Array = NDArray[Any]


class Episode(NamedTuple):
    """One episode of N arms over T control steps."""

    observation: Array  # (N, T + 1, n_obs), float32
    action: Array  # (N, T, J), as issued, in [-1, 1]
    reward: Array  # (N, T)
    error: Array  # (N,), what the world's final info measures it by: one of ERRORS
    success: Array  # (N,), bool

    @property
    def rmse_rad(self) -> Array:
        """Root of the mean over time of the squared joint error of Track, (N,), rad."""
        return self.error

    @property
    def episode_return(self) -> Array:
        """Sum of the rewards, (N,)."""
        return self.reward.sum(axis=1)


ERRORS = ("rmse_rad", "tip_m")  # by which worlds measure an episode: Track, Reach


class Controller(Protocol):
    """Whatever drives the arms: the learner on a chip, in software, or a baseline.

    One that learns within an episode may also have `hear(reward)`: it is told what each step earned, (N,).
    """

    def act(self, observation: Array) -> Array:
        """Return actions (N, J) for observations (N, n_obs)."""
        ...

    def begin(self) -> None:
        """Forget what belongs to one episode, before each of them."""
        ...

    def learn(self, episode: Episode) -> Any:
        """Take the lesson of a finished episode; a controller that never adapts does nothing."""
        ...


MAX_SEED = 2**32 - 1


def check_seed(seed: int) -> int:
    """Return the seed.

    Raises:
        ValueError: The generators of numpy and torch do not all take it.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be 0 to {MAX_SEED}, got {seed}")
    return seed


def check_family(env_id: str) -> str:
    """Return the id.

    Raises:
        ValueError: No family of tasks is registered under it.
    """
    known = sorted(f"envs:{name}" for name in gym.registry if name.startswith("PhaseArm/"))
    if env_id not in known:
        raise ValueError(f"unknown env {env_id!r}; choose from {known}")
    return env_id


def make_arms(env_id: str, n_arms: int, **options: Any) -> Any:
    """Return a vector environment of `n_arms` arms, from the registered id.

    Raises:
        ValueError: No family of tasks is registered under it.
    """
    check_family(env_id)
    return gym.make_vec(env_id, num_envs=n_arms, **options)


def ears(controller: Any) -> Callable[[Array], None]:
    """Return what a controller hears rewards with: nothing, for those that do not."""
    return getattr(controller, "hear", lambda reward: None)


def run_episode(
    env: Any,
    act: Callable[[Array], Array],
    observation: Array,
    hear: Callable[[Array], None] = lambda reward: None,
) -> tuple[Episode, Array]:
    """Run one episode on every arm; return it and the first observation of the next.

    Args:
        env: Vector environment whose arms all truncate at the same step.
        act: From observations (N, n_obs) to actions (N, J).
        observation: The present observation of every arm.
        hear: Is told every reward (N,).
    """
    seen, done, rewards = [observation], [], []
    while True:
        action = act(seen[-1])
        observation, reward, _, truncated, info = env.step(action)
        done.append(np.clip(action, -1.0, 1.0))
        rewards.append(reward)
        hear(reward)
        if truncated.all():
            seen.append(np.stack(list(info["final_obs"])))
            final = info["final_info"]
            episode = Episode(
                np.stack(seen, axis=1),
                np.stack(done, axis=1),
                np.stack(rewards, axis=1),
                np.asarray(next(final[name] for name in ERRORS if name in final)),
                np.asarray(final["success"]),
            )
            return episode, observation
        seen.append(observation)


def run_trial(
    env: Any,
    controller: Controller,
    tasks: Sequence[Any],
    seeds: Sequence[int],
    n_episodes: int,
) -> tuple[list[Episode], list[Any]]:
    """Run successive episodes on fixed bodies, with a lesson between each two.

    Returns the episodes and what the controller said of each lesson. Equal seeds and tasks give equal bodies,
    references and starts whatever the controller does.
    """
    env.unwrapped.set_tasks(list(tasks))
    observation, _ = env.reset(seed=list(seeds))
    episodes, lessons = [], []
    for number in range(n_episodes):
        controller.begin()
        episode, observation = run_episode(env, controller.act, observation, ears(controller))
        episodes.append(episode)
        if number < n_episodes - 1:
            lessons.append(controller.learn(episode))
    return episodes, lessons
