"""Videos of an episode: the arm with its payload, the reference as a ghost, the tip's path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from agents.episodes import Array, Episode
from envs import rendering
from envs.video import write_mp4

TRAIL_STEPS = 40


def film(path: Path, env_id: str, task: Any, episode: Episode, size: tuple[int, int] = (480, 360)) -> Path:
    """Write the video of one arm's episode at the pace of the arm; return its path.

    Args:
        path: The mp4.
        env_id: Registered id of the arm's world.
        task: The body.
        episode: One arm's episode: observations (T + 1, n_obs).
        size: Width and height, pixels, even.
    """
    world = gym.make(env_id)
    world.reset(options={"task": task})
    arm: Any = world.unwrapped
    seen = arm.arm_cfg.unpack(episode.observation)
    renderer = rendering.make_renderer(arm.model, *size)
    frames = _frames(arm.model, renderer, np.asarray(seen.q_rad), np.asarray(seen.q_ref_rad))
    try:
        return write_mp4(path, frames, round(1 / arm.arm_cfg.dt_s), f"PhaseArm, drawn by {renderer.backend}")
    finally:
        renderer.close()
        world.close()


def _frames(model: Any, renderer: rendering.Renderer, q_rad: Array, q_ref_rad: Array) -> Iterator[Array]:
    """Yield a frame for every observation; the trail is the tip's recent path."""
    data = mujoco.MjData(model)
    trail: list[Array] = []
    for pose, ghost in zip(q_rad, q_ref_rad, strict=True):
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        trail = [*trail[-TRAIL_STEPS:], data.site("tip").xpos.copy()]
        yield renderer.render(data, ghost_q=ghost, trail=np.array(trail))
