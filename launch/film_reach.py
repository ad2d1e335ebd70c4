"""The video of an arm that learns to reach: learners side by side, one episode after the other, and what each got."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.episodes import Array, Episode
from envs import rendering
from envs.kinematics import first_joint_m
from envs.rendering import Curve
from envs.video import write_mp4

HOLD_FRAMES = 20  # how long the end of an episode stands still
KEY = "green: goal, blue: the tip's way"
ENDS = "mean distance over the last .5 s of each episode: "
_INK, _SOFT, _PAPER, _WAY = (30, 34, 40), (120, 126, 134), (255, 255, 255), (24, 104, 168)
_LINE_PX, _EDGE_PX = 26, 8


@dataclass(frozen=True)
class Side:
    """One learner's half of the video."""

    name: str
    """Who it is and what it lives on."""
    episodes: Sequence[Episode]
    """One arm's episodes: observations (T + 1, n_obs)."""
    lessons: Sequence[str]
    """What has been learned before each episode, such as "after 2 writes"."""


def film(path: Path, env_id: str, task: Any, sides: Sequence[Side], size: tuple[int, int]) -> Path:
    """Write the video at the pace of the arm, and its last frame beside it as png; return the video's path.

    Args:
        path: The mp4.
        env_id: Registered id of a world of reaching.
        task: The body.
        sides: From left to right; all have as many episodes.
        size: Width and height of the arm's picture on one side, pixels, even.
    """
    world = gym.make(env_id)
    world.reset(options={"task": task})
    arm: Any = world.unwrapped
    renderer = rendering.make_renderer(arm.model, *size)
    picture = Picture(arm, renderer, sides, size[0])
    try:
        Image.fromarray(picture.last()).save(path.with_suffix(".png"))
        frames = picture.frames()
        return write_mp4(path, frames, round(1 / arm.arm_cfg.dt_s), f"PhaseArm, drawn by {renderer.backend}")
    finally:
        renderer.close()
        world.close()


class Picture:
    """Draws all sides at any step of any episode."""

    def __init__(self, arm: Any, renderer: rendering.Renderer, sides: Sequence[Side], width: int) -> None:
        """Hold the arm, what draws it, and what is drawn."""
        self._arm, self._renderer, self._sides, self._width = arm, renderer, sides, width
        self._data = mujoco.MjData(arm.model)
        self._n_episodes = len(sides[0].episodes)
        self._n_steps = len(sides[0].episodes[0].action)

    def frames(self) -> Iterator[Array]:
        """Yield the frames, (H, W, 3) uint8; the end of an episode stands for a while."""
        for k in range(self._n_episodes):
            frame = self._at(k, 0)
            for step in range(1, self._n_steps + 1):
                yield frame
                frame = self._at(k, step)
            yield from [frame] * (1 + HOLD_FRAMES)

    def last(self) -> Array:
        """Return the last frame."""
        return self._at(self._n_episodes - 1, self._n_steps)

    def _at(self, k: int, step: int) -> Array:
        return np.concatenate([self._side(side, k, step) for side in self._sides], axis=1)

    def _side(self, side: Side, k: int, step: int) -> Array:
        """Return one side's frame: who, which episode and how far, the arm, and how far each episode was at its end."""
        seen = self._arm.unpack(side.episodes[k].observation)
        away_m = float(np.linalg.norm(np.asarray(seen.goal_m[step]) - np.asarray(seen.tip_m[step])))
        over = side.episodes[: k + (step == self._n_steps)]
        ends = "  ".join(f"{episode.error:.2f}" for episode in over)
        lines = [
            text_line(self._width, side.name, KEY if side is self._sides[0] else ""),
            text_line(self._width, f"episode {k + 1}: {side.lessons[k]}", f"tip {away_m:.2f} m from goal"),
            text_line(self._width, ENDS + (f"{ends} m" if over else ""), soft=True),
        ]
        return np.concatenate([*lines[:2], self._picture(seen, step), lines[2]])

    def _picture(self, seen: Any, step: int) -> Array:
        """Return the arm at a step of an episode, with the goal and the tip's way there."""
        way_m = np.array([self._tip(pose) for pose in seen.q_rad[: step + 1]])  # the last one poses the arm
        curves = [Curve(way_m, _WAY, 0.85)] if step else []
        goal_m = self._in_world(np.asarray(seen.goal_m[step]), way_m[-1])
        return self._renderer.render(self._data, curves=curves, goal_m=goal_m, tip_m=way_m[-1])

    def _tip(self, q_rad: Array) -> Array:
        self._data.qpos[:] = q_rad
        mujoco.mj_forward(self._arm.model, self._data)
        return self._data.site("tip").xpos.copy()

    def _in_world(self, place_m: Array, tip_m: Array) -> Array:
        """Return a place told from the first joint as a point of the world, (3,); a plane's third axis is the tip's."""
        point, axes = tip_m.copy(), list(self._arm.arm_cfg.workspace.axes)
        point[axes] = place_m + first_joint_m(self._arm.arm_cfg)[axes]
        return point


def text_line(width: int, left: str, right: str = "", soft: bool = False) -> Array:
    """Return a line of text, one part at each end, the right one where there is room. Shape: (26, width, 3)."""
    picture = Image.new("RGB", (width, _LINE_PX), _PAPER)
    font = ImageFont.load_default(size=max(8.0, min(15.0, width / 32)))
    pen, ink = ImageDraw.Draw(picture), _SOFT if soft else _INK
    pen.text((_EDGE_PX, _LINE_PX / 2), left, ink, font, anchor="lm")
    if font.getlength(left + right) < width - 3 * _EDGE_PX:  # in a small picture there is no room for both
        pen.text((width - _EDGE_PX, _LINE_PX / 2), right, ink, font, anchor="rm")
    return np.asarray(picture)
