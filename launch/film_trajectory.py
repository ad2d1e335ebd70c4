"""The video of a learnt trajectory: the arm before and after the one write, side by side, and their spikes below."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.eprop_evaluate import Array
from envs import rendering
from envs.playback import PEDESTAL_M, servo_arm
from envs.rendering import Curve
from envs.trajectories import tip_position
from envs.video import write_mp4

FPS = 25
_WANTED, _DRAWN = (24, 104, 168), (214, 60, 30)
_INK, _PALE, _PAPER = (30, 34, 40), (206, 210, 216), (255, 255, 255)
_TITLE_PX, _EDGE_PX = 30, 8


@dataclass(frozen=True)
class Run:
    """One side of the video."""

    title: str
    """What stands above it."""
    angle_rad: Array
    """Joint angles as the encoders saw them. Shape: (T, 2)."""
    spikes: Array
    """The trainee's. Shape: (T, N), bool."""


def film(path: Path, runs: tuple[Run, ...], target_m: Array, size: tuple[int, int], pace: int = 1) -> Path:
    """Write the video; return its path.

    Args:
        path: The mp4; the last frame is kept beside it as png.
        runs: The sides, from left to right.
        target_m: The curve to be drawn. Shape: (T, 3).
        size: Width and height of the arm's picture on one side, pixels, even.
        pace: Steps of the network from a frame to the next.
    """
    model = servo_arm()
    renderer = rendering.make_renderer(model, *size, camera="workspace")
    picture = Picture(model, renderer, runs, target_m, size[0])
    steps = [*range(0, len(target_m), pace), *[len(target_m) - 1] * FPS]  # the end stands for a second
    try:
        Image.fromarray(picture.at(steps[-1])).save(path.with_suffix(".png"))
        return write_mp4(path, (picture.at(t) for t in steps), FPS, f"PhaseArm, drawn by {renderer.backend}")
    finally:
        renderer.close()


class Picture:
    """Draws both sides at any step."""

    def __init__(
        self, model: mujoco.MjModel, renderer: rendering.Renderer, runs: tuple[Run, ...], target_m: Array, width: int
    ) -> None:
        self._model, self._data, self._renderer = model, mujoco.MjData(model), renderer
        lift = np.array([0.0, 0.0, PEDESTAL_M])
        self._target = Curve(target_m + lift, _WANTED, 0.75)
        dots_px = width - 2 * _EDGE_PX
        self._sides = [
            (run, title(run.title, width), tip_position(run.angle_rad) + lift, raster(run.spikes, dots_px))
            for run in runs
        ]

    @functools.lru_cache(maxsize=1)  # noqa: B019 the last frame is drawn again and again
    def at(self, t: int) -> Array:
        """Return the frame of a step. Shape: (H, W, 3) uint8."""
        frames = []
        for run, head, line, dots in self._sides:
            self._data.qpos[:] = run.angle_rad[t]
            mujoco.mj_forward(self._model, self._data)
            arm = self._renderer.render(self._data, curves=(self._target, Curve(line[: t + 1], _DRAWN)))
            frames.append(np.concatenate([head, arm, until(dots, (t + 1) / len(line))]))
        return np.concatenate(frames, 1)


def title(text: str, width: int) -> Array:
    """Return a line of text. Shape: (30, width, 3)."""
    picture = Image.new("RGB", (width, _TITLE_PX), _PAPER)
    font = ImageFont.load_default(size=max(9.0, min(15.0, width / 32)))
    ImageDraw.Draw(picture).text((_EDGE_PX, _TITLE_PX / 2), text, _INK, font, anchor="lm")
    return np.asarray(picture)


def raster(spikes: Array, width: int) -> Array:
    """Return a dot for every spike (T, N), time to the right, two neurons a row; 1 is ink. (rows, width)."""
    n_steps, n_neurons = spikes.shape
    times, neurons = np.nonzero(spikes)
    ink = np.zeros(((n_neurons + 3) // 4 * 2, width))
    for shift in range(max(1, width // n_steps)):
        ink[neurons // 2, np.minimum(times * width // n_steps + shift, width - 1)] = 1.0
    return ink


def until(dots: Array, share: float) -> Array:
    """Return a raster up to a share of the time, what is to come pale, with a line between. Shape: (rows, width, 3)."""
    rows, width = dots.shape
    now = min(round(share * width), width - 1)
    colour = np.where(np.arange(width)[:, None] > now, _PALE, _INK)
    picture = np.where(dots[..., None] > 0.0, colour, _PAPER)
    picture[:, now] = _DRAWN
    framed = np.full((rows + 2 * _EDGE_PX, width + 2 * _EDGE_PX, 3), 255, dtype=np.uint8)
    framed[_EDGE_PX : _EDGE_PX + rows, _EDGE_PX : _EDGE_PX + width] = picture
    return framed
