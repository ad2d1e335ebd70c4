"""Many arms at once, each with its own body, stepped on native threads by mujoco.batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from .bodies import model_fields, write_batch
from .inverse import inverse_dynamics
from .kinematics import inverse_kinematics
from .models import nominal_model
from .physics import Physics, make_physics
from .tasks import Casting, Task, describe, sample_tasks, seeded
from .tracking import checked_action
from .worlds import arm_in, make_world

Array = NDArray[Any]


class ArmVectorEnv(VectorEnv[Array, Array, Array]):
    """N arms in one of the worlds; a finished arm begins its next episode in the same step."""

    def __init__(
        self,
        num_envs: int = 1,
        arm: str = "planar",
        band: str = "in_range",
        split: str = "train",
        nthread: int | None = None,
        render_mode: str | None = None,
        world: str = "track",
        wiring: bool | None = None,
        physics: Physics = "batch",
    ) -> None:
        """Build the environment.

        Args:
            num_envs: Number N of arms.
            arm: Which arm.
            band: Band that bodies are drawn from while no task is set.
            split: Split that they are drawn from.
            nthread: Native threads; None takes as many as there are cores. The results do not depend on it.
            render_mode: None alone: take get_model(i) and get_data(i) to draw an arm.
            world: "track" or "reach".
            wiring: Whether drawn bodies may have miswired motors; None: in reaching they may.
            physics: "batch", MuJoCo on native threads; or "mjx", MuJoCo XLA, an extra: the same motion but for rounding
                (docs/mjx.md).
        """
        if render_mode is not None:
            raise ValueError(
                f"unknown render_mode {render_mode!r}; many arms render through get_model and get_data only"
            )
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, not {num_envs}")
        self.arm_cfg, self._drawn = arm_in(world, arm, wiring)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
        self.frame_skip, self.dt = self.arm_cfg.frame_skip, self.arm_cfg.dt_s
        self._casting = Casting(self.arm_cfg, num_envs, band, split, self._drawn)
        self._world = make_world(world, self.arm_cfg, num_envs)
        self._generators: list[Any] = [None] * num_envs
        self._batch = make_physics(physics, nominal_model(arm), num_envs, nthread or os.cpu_count() or 1)
        self._qpos, self._qvel, self._ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._make_spaces()

    def _make_spaces(self) -> None:
        world, n_joints = self._world, self.arm_cfg.n_joints
        self.single_observation_space = gym.spaces.Box(world.low, world.high, dtype=np.float32)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (n_joints,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin an episode on every arm, or on those of options["reset_mask"].

        Args:
            seed: None, an int s that seeds arm i as the single environment with s + i, or a list of N ints or Nones.
            options: "task": a list of N tasks (None: draw), or one for all; "reset_mask": (N,) bool, as in Gymnasium.

        Returns:
            Observations (N, n_obs) and info with the hidden bodies under "dynamics".
        """
        options = dict(options or {})
        ids = self._masked(options.pop("reset_mask", None))
        if "task" in options:
            self._casting.set(self._listed(options.pop("task")), ids)
        if options:
            raise ValueError(f"unknown option {next(iter(options))!r}; choose from ['reset_mask', 'task']")
        self._seed(seed, ids)
        info = self._begin(ids)
        return self._world.observe(self._qpos, self._qvel), info

    def _masked(self, mask: Any) -> Array:
        """Return the numbers of the arms to reset."""
        if mask is None:
            return np.arange(self.num_envs)
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"reset_mask must be ({self.num_envs},) bool with a True, not {mask!r}")
        if any(generator is None for generator, kept in zip(self._generators, ~mask, strict=True) if kept):
            raise ValueError("the first reset must be of every arm: reset_mask leaves out arms that never began")
        return np.flatnonzero(mask)

    def _listed(self, tasks: Any) -> list[Task | None]:
        """Return a task or None for every arm."""
        if tasks is None or isinstance(tasks, Task):
            return [tasks] * self.num_envs
        return list(tasks)

    def _seed(self, seed: Any, ids: Array) -> None:
        if seed is None or isinstance(seed, (int, np.integer)):
            seeds = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = [None if one is None else int(one) for one in seed]
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be an int or {self.num_envs} of them, not {len(seeds)}")
        for i in ids:
            if seeds[i] is not None or self._generators[i] is None:
                self._generators[i] = seeded(seeds[i])

    def _begin(self, ids: Array) -> dict[str, Any]:
        """Give each arm its next body, its reference and its start; return the info of the reset."""
        pairs = [self._generators[i] for i in ids]
        tasks, changed = self._casting.next(ids, [pair.tasks for pair in pairs])
        if len(changed):
            fields = model_fields(self.arm_cfg, [self._casting.present[i] for i in changed])
            write_batch(self._batch, changed, fields)
        self._batch.reset(ids, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self._qpos[ids], self._qvel[ids] = self._world.begin(ids, [pair.motion for pair in pairs], tasks)
        return self._spread({"dynamics": describe(tasks, self.arm_cfg.wired)}, ids)

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Advance every arm by a control step.

        Args:
            actions: (N, J), cut to [-1, 1].

        Returns:
            Observations (N, n_obs), rewards (N,), terminations (none), truncations (N,), info. Where an episode ended,
            the observation is the next episode's first, and the last one is in info["final_obs"].
        """
        if self._generators[0] is None:
            raise gym.error.ResetNeeded("call reset before step")
        actions = checked_action(actions, (self.num_envs, self.arm_cfg.n_joints))
        self._ctrl[...] = actions
        self._batch.step(nstep=self.frame_skip)
        reward, terms = self._world.advance(self._qpos, actions)
        observation, done = self._world.observe(self._qpos, self._qvel), self._world.done
        if done.any():
            observation, info = self._finish(observation, done, terms)
        else:
            info = self._spread(terms, np.arange(self.num_envs))
        return observation, reward, np.zeros(self.num_envs, dtype=bool), done, info

    def _finish(self, last: Array, done: Array, terms: dict[str, Array]) -> tuple[Array, dict[str, Any]]:
        """Close the finished episodes and begin the next; return observations and info."""
        ids, going = np.flatnonzero(done), np.flatnonzero(~done)
        final = {**terms, **self._world.summary()}
        info = self._spread(_rows(terms, going), going) if len(going) else {}
        info |= self._spread({"final_info": _rows(final, ids)}, ids)
        info["final_obs"], info["_final_obs"] = np.full(self.num_envs, None, dtype=object), done.copy()
        for i in ids:
            info["final_obs"][i] = last[i]
        info |= self._begin(ids)
        return self._world.observe(self._qpos, self._qvel), info

    def _spread(self, values: dict[str, Any], ids: Array) -> dict[str, Any]:
        """Return info of some arms as Gymnasium's vector environments give it: rows of N, a mask beside each key."""
        info: dict[str, Any] = {}
        mask = np.zeros(self.num_envs, dtype=bool)
        mask[ids] = True
        for key, value in values.items():
            if isinstance(value, dict):
                info[key] = self._spread(value, ids)
            else:
                info[key] = np.zeros((self.num_envs, *value.shape[1:]), dtype=value.dtype)
                info[key][ids] = value
            info[f"_{key}"] = mask.copy()
        return info

    # The calls of the family of tasks.
    def sample_tasks(self, n: int, band: str = "in_range", split: str = "train", seed: int | None = None) -> list[Task]:
        """Return n bodies of a band and a split; the same ones for the same seed."""
        return sample_tasks(self._drawn, n, band, split, np.random.default_rng(seed))

    def set_tasks(self, tasks: Sequence[Task | None] | Task | None) -> None:
        """Set each arm's body from its next reset on; None draws a new one at every reset."""
        self._casting.set(self._listed(tasks), np.arange(self.num_envs))

    def hold_task(self, held: Array | bool) -> None:
        """Let arms, a mask (N,) or all, keep drawn bodies over resets, or (False) draw a new one at each again."""
        self._casting.hold(held)

    def inverse_dynamics(self, q_rad: Any, qd_rad_s: Any, qdd_rad_s2: Any, task: Any = None) -> Array:
        """Return the actions that give these accelerations; see envs.inverse.inverse_dynamics."""
        return inverse_dynamics(self.arm_cfg, q_rad, qd_rad_s, qdd_rad_s2, task)

    def inverse_kinematics(self, goal_m: Any, q_rad: Any, task: Any = None) -> tuple[Array, Array]:
        """Return joint positions near q_rad that bring the tips to goals; see envs.kinematics.inverse_kinematics."""
        return inverse_kinematics(self.arm_cfg, goal_m, q_rad, task)

    def unpack(self, obs: Any) -> Any:
        """Return the parts of observations by name; numpy arrays and torch tensors alike."""
        return self._world.unpack(obs)

    @property
    def tasks(self) -> list[Task]:
        """The present body of every arm, hidden from whoever plays by the rules."""
        return [task for task in self._casting.present if task is not None]

    @property
    def reference_position_rad(self) -> Array:
        """Where every arm should be now, (N, J), in the tracking world: the ghost of the videos."""
        return self._world.reference_position()  # type: ignore[attr-defined]

    # One arm of the many.
    def get_model(self, number: int) -> mujoco.MjModel:
        """Return a copy of one arm's model, to draw it or to step it alone."""
        return self._batch.get_model(number)

    def get_data(self, number: int) -> mujoco.MjData:
        """Return a copy of one arm's state, with positions worked out for drawing."""
        data = self._batch.get_data(number)
        mujoco.mj_fwdPosition(self.get_model(number), data)
        return data

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return one result an arm of a method or attribute that a single arm has too."""
        if name == "set_task":
            self.set_tasks(*args, **kwargs)
            return (None,) * self.num_envs
        if name in ("model", "data"):
            return tuple((self.get_model if name == "model" else self.get_data)(i) for i in range(self.num_envs))
        if name in ("task", "get_task"):
            return tuple(self._casting.present)
        value = getattr(self, name)
        return ((value(*args, **kwargs) if callable(value) else value),) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Return an attribute for every arm."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set `task` (one, or one an arm), or the `band` or `split` that all arms draw from."""
        if name == "task":
            return self.set_tasks(values)
        kinds = [values] if isinstance(values, str) else values
        if name not in ("band", "split") or len(set(kinds)) != 1:
            raise ValueError(f"cannot set {name!r} to {values!r}; choose from task, or one band or split for all arms")
        return self._casting.draw_from(**{name: kinds[0]})


def _rows(values: dict[str, Any], ids: Array) -> dict[str, Any]:
    """Return the rows of some arms, also of dicts within."""
    return {key: _rows(value, ids) if isinstance(value, dict) else value[ids] for key, value in values.items()}
