"""One arm as a Gymnasium environment, in the manner of Gymnasium's own MuJoCo environments."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from numpy.typing import NDArray

from .bodies import model_fields, write_model
from .inverse import inverse_dynamics
from .kinematics import inverse_kinematics
from .models import compile_arm
from .tasks import Casting, Seeds, Task, describe, sample_tasks
from .tracking import checked_action
from .worlds import arm_in, make_world

Array = NDArray[Any]


class ArmEnv(gym.Env[Array, Array]):
    """One arm on a body it is not told of.

    In the tracking world it follows a reference for 100 control steps of .02 s, in the reaching world it brings its tip
    to a goal in 50 of .04 s.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012  Gymnasium's own form

    def __init__(
        self,
        arm: str = "planar",
        band: str = "in_range",
        split: str = "train",
        render_mode: str | None = None,
        width: int = 480,
        height: int = 480,
        world: str = "track",
        wiring: bool | None = None,
    ) -> None:
        """Build the environment.

        Args:
            arm: Which arm.
            band: Band that bodies are drawn from while no task is set.
            split: Split that they are drawn from.
            render_mode: None or "rgb_array".
            width: Width of a frame, pixels.
            height: Height of a frame, pixels.
            world: "track" or "reach".
            wiring: Whether drawn bodies may have miswired motors; None: in reaching they may.
        """
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"unknown render_mode {render_mode!r}; choose from [None, 'rgb_array']")
        self.arm_cfg, self._drawn = arm_in(world, arm, wiring)
        self.render_mode = render_mode
        self.width, self.height, self._renderer = width, height, None
        self.model = compile_arm(self.arm_cfg)
        self.data = mujoco.MjData(self.model)
        self.frame_skip, self.dt = self.arm_cfg.frame_skip, self.arm_cfg.dt_s
        self.metadata = self.metadata | {"render_fps": round(1.0 / self.dt)}
        self._casting = Casting(self.arm_cfg, 1, band, split, self._drawn)
        self._world, self._seeds, self._ids = make_world(world, self.arm_cfg, 1), None, np.zeros(1, dtype=np.int64)
        self.observation_space = gym.spaces.Box(self._world.low, self._world.high, dtype=np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (self.arm_cfg.n_joints,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Seeds the arm's generators; None lets them run on.
            options: "task": the body from now on; None returns to drawing one at every reset.

        Returns:
            The observation and info with the hidden body under "dynamics".
        """
        super().reset(seed=seed)
        options = dict(options or {})
        if "task" in options:
            self.set_task(options.pop("task"))
        if options:
            raise ValueError(f"unknown option {next(iter(options))!r}; choose from ['task']")
        if seed is not None or self._seeds is None:
            self._seeds = Seeds(self.np_random, self.np_random.spawn(1)[0])
        task = self._next_body(self._seeds)
        starts = self._world.begin(self._ids, [self._seeds.motion], [task])
        self.data.qpos[:], self.data.qvel[:] = (start[0] for start in starts)
        mujoco.mj_fwdPosition(self.model, self.data)  # places for drawing; leaves what the solver starts from alone
        hidden = describe([task], self.arm_cfg.wired)
        return self._observe(), {"dynamics": {name: _bare(row[0]) for name, row in hidden.items()}}

    def _next_body(self, seeds: Seeds) -> Task:
        """Give the arm its next body and its default state."""
        tasks, changed = self._casting.next(self._ids, [seeds.tasks])
        if len(changed):
            write_model(self.model, self.data, model_fields(self.arm_cfg, tasks))
        mujoco.mj_resetData(self.model, self.data)
        return tasks[0]

    def _observe(self) -> Array:
        return self._world.observe(self.data.qpos[None], self.data.qvel[None])[0]

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Advance by a control step.

        Args:
            action: (J,), cut to [-1, 1].

        Returns:
            Observation, reward, False, whether the episode's time has run out, info.
        """
        if self._seeds is None or self._world.done[0]:
            raise gym.error.ResetNeeded("call reset before step, and after the end of an episode")
        action = checked_action(action, (self.arm_cfg.n_joints,))
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, self.frame_skip)
        reward, info = self._world.advance(self.data.qpos[None], action[None])
        truncated = bool(self._world.done[0])
        if truncated:
            info |= self._world.summary()
        return self._observe(), float(reward[0]), False, truncated, _single(info)

    def render(self) -> Array | None:  # type: ignore[override]
        """Return a frame (H, W, 3) uint8 with the reference or the goal, or None without a render mode."""
        if self.render_mode is None:
            return None
        if self._renderer is None:
            from . import rendering  # only who draws pays for a drawing context

            self._renderer = rendering.make_renderer(self.model, self.width, self.height)
        mujoco.mj_fwdPosition(self.model, self.data)
        return self._renderer.render(self.data, **self._world.marks())

    def close(self) -> None:
        """Give the drawing context back."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    # The calls of the family of tasks.
    def sample_tasks(self, n: int, band: str = "in_range", split: str = "train", seed: int | None = None) -> list[Task]:
        """Return n bodies of a band and a split; the same ones for the same seed."""
        return sample_tasks(self._drawn, n, band, split, np.random.default_rng(seed))

    def set_task(self, task: Task | None) -> None:
        """Set the body from the next reset on; None draws a new one at every reset."""
        self._casting.set([task], self._ids)

    def get_task(self) -> Task | None:
        """Return the present body, as learn2learn's environments do; None before the first reset."""
        return self.task

    def hold_task(self, held: bool) -> None:
        """Keep a drawn body over the next resets, or (False) draw a new one at each again; a set one holds anyhow."""
        self._casting.hold(held)

    def inverse_dynamics(self, q_rad: Any, qd_rad_s: Any, qdd_rad_s2: Any, task: Any = None) -> Array:
        """Return the actions that give these accelerations; see envs.inverse.inverse_dynamics."""
        return inverse_dynamics(self.arm_cfg, q_rad, qd_rad_s, qdd_rad_s2, task)

    def inverse_kinematics(self, goal_m: Any, q_rad: Any, task: Any = None) -> tuple[Array, Array]:
        """Return joint positions near q_rad that bring the tip to a goal; see envs.kinematics.inverse_kinematics."""
        return inverse_kinematics(self.arm_cfg, goal_m, q_rad, task)

    def unpack(self, obs: Any) -> Any:
        """Return the parts of observations by name; numpy arrays and torch tensors alike."""
        return self._world.unpack(obs)

    @property
    def task(self) -> Task | None:
        """The present body, hidden from whoever plays by the rules; None before the first reset."""
        return self._casting.present[0]

    @task.setter
    def task(self, task: Task | None) -> None:
        self.set_task(task)

    @property
    def reference_position_rad(self) -> Array:
        """Where the arm should be now, (J,), in the tracking world: the ghost of the videos."""
        return self._world.marks()["ghost_q"]


def _single(rows: dict[str, Any]) -> dict[str, Any]:
    """Return one arm's info as plain numbers."""
    return {key: _single(value) if isinstance(value, dict) else value[0].item() for key, value in rows.items()}


def _bare(value: Any) -> Any:
    """Return a number as Python's, an array as it is."""
    return value if value.ndim else value.item()
