"""The ways to step arms that the benchmark compares: the vector environment, MuJoCo's own loop, a process per arm."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.tasks import Task

Array = NDArray[Any]
Policy = Callable[[Array], Array]


def mlp_policy(n_inputs: int, n_actions: int, hidden: int, seed: int) -> Policy:
    """Return a policy of two tanh layers with random weights, from observations (N, n_inputs) to actions (N, J).

    Weights have a standard deviation of 1 / sqrt(inputs), as usual before training.
    """
    rng, sizes = np.random.default_rng(seed), [n_inputs, hidden, hidden, n_actions]
    layers = [rng.standard_normal(pair) / np.sqrt(pair[0]) for pair in itertools.pairwise(sizes)]
    first, second, third = (layer.astype(np.float32) for layer in layers)
    return lambda observation: np.tanh(np.tanh(np.tanh(observation @ first) @ second) @ third)


class Clock:
    """Seconds that pass on the wall and on this process's CPUs."""

    def __init__(self) -> None:
        """Start."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def speed(self, n_steps: int) -> Speed:
        """Return how fast n_steps were since the start."""
        return Speed(n_steps / (time.perf_counter() - self._wall), n_steps / (time.process_time() - self._cpu))


class Speed(NamedTuple):
    """Control steps of single arms."""

    per_s: float
    per_cpu_s: float  # counts the waiting of idle native threads too, and nothing of other processes


class Played(NamedTuple):
    """One episode that a vector environment played."""

    speed: Speed
    start: Array  # (N, n_obs), what the arms saw first
    action: Array  # (T, N, J)


class Vector:
    """Arms of a Gymnasium vector environment under one policy, episode after episode."""

    def __init__(self, env: Any, policy: Policy, seed: int) -> None:
        """Begin the first episode."""
        self.env, self._policy = env, policy
        self._observation, _ = env.reset(seed=seed)

    def play(self) -> Played:
        """Play an episode to its end and into the next one; time policy, steps and the autoreset."""
        actions, seen = [], self._observation
        clock, over = Clock(), False
        while not over:
            actions.append(self._policy(seen))
            seen, _, _, truncated, _ = self.env.step(actions[-1])
            over = truncated.all()
        speed = clock.speed(len(actions) * self.env.num_envs)
        start, self._observation = self._observation, seen
        return Played(speed, start, np.stack(actions))

    def close(self) -> None:
        """Close the arms."""
        self.env.close()


class RawLoop:
    """A plain loop over mj_step on the nominal arm, in one thread."""

    def __init__(self, env_id: str) -> None:
        """Take the nominal body's model."""
        arm = gym.make(env_id).unwrapped
        arm.reset(options={"task": Task.nominal(arm.arm_cfg.name)})  # type: ignore[attr-defined]
        self._model, self._frame_skip = arm.model, arm.frame_skip  # type: ignore[attr-defined]
        self._unpack = arm.unpack  # type: ignore[attr-defined]
        self._data = mujoco.MjData(self._model)

    def play(self, played: Played, n_arms: int) -> Speed:
        """Repeat the first arms' starts and actions, one arm after the other."""
        model, data, frame_skip = self._model, self._data, self._frame_skip
        tracks = np.ascontiguousarray(played.action[:, :n_arms].swapaxes(0, 1), dtype=np.float64)
        seen = self._unpack(played.start)
        clock = Clock()
        q_start, qd_start = seen[2:4] if hasattr(seen, "q_ref_rad") else seen[:2]  # tracking begins on the reference
        for q_rad, qd_rad_s, actions in zip(q_start, qd_start, tracks, strict=False):
            mujoco.mj_resetData(model, data)
            data.qpos[:], data.qvel[:], ctrl = q_rad, qd_rad_s, data.ctrl
            for action in actions:
                ctrl[:] = action
                mujoco.mj_step(model, data, frame_skip)
        return clock.speed(tracks.shape[0] * tracks.shape[1])


def worker_arms(env_id: str, n_workers: int) -> Any:
    """Return Gymnasium's own vector environment with a process for every arm."""
    options = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gym.make_vec(env_id, num_envs=n_workers, vectorization_mode="async", vector_kwargs=options)
