"""A pinhole camera: where points of the world fall on the picture, and the rays that go out through its pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Camera(NamedTuple):
    """Place and lens of a camera; it looks along its own -z, its x points right and its y up, as in MuJoCo."""

    position_m: Array
    """Place of the lens, (3,)."""
    axes: Array
    """Its axes in the world as columns, (3, 3)."""
    focal_px: float
    """Distance from the lens to the picture, in pixels."""
    width: int
    """Width of the picture, pixels."""
    height: int
    """Height of the picture, pixels."""

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Return where points (..., 3) fall, pixels from the left upper corner (..., 2), and their depth (...), m."""
        seen = (points_m - self.position_m) @ self.axes
        depth = -seen[..., 2]
        ahead = np.maximum(depth, 1e-6)[..., None]
        centre = np.array([self.width / 2, self.height / 2])
        return centre + seen[..., :2] * [1.0, -1.0] * self.focal_px / ahead, depth

    def rays(self) -> Array:
        """Return a direction per pixel, (height, width, 3) float32, scaled so that its length counts depth."""
        right = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal_px
        up = (self.height / 2 - np.arange(self.height) - 0.5) / self.focal_px
        x, y = np.meshgrid(right, up)
        return (np.stack([x, y, -np.ones_like(x)], axis=-1) @ self.axes.T).astype(np.float32)

    def finer(self, factor: int) -> Camera:
        """Return the same view with `factor` times as many pixels each way."""
        return self._replace(focal_px=self.focal_px * factor, width=self.width * factor, height=self.height * factor)


def camera_number(model: mujoco.MjModel, name: str) -> int:
    """Return a camera's number in the model.

    Raises:
        ValueError: There is no camera of that name.
    """
    names = [model.camera(number).name for number in range(model.ncam)]
    if name not in names:
        raise ValueError(f"unknown camera {name!r}; choose from {sorted(names)}")
    return names.index(name)


def camera_of(model: mujoco.MjModel, data: mujoco.MjData, number: int, width: int, height: int) -> Camera:
    """Return the model's camera as it stands now, for a picture of this size."""
    focal_px = height / 2 / np.tan(np.deg2rad(model.cam_fovy[number]) / 2)
    axes = data.cam_xmat[number].reshape(3, 3).copy()
    return Camera(data.cam_xpos[number].copy(), axes, float(focal_px), width, height)
