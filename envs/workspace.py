"""Where goals lie: a part of a shell (in a plane: of a ring) about a point, of which the tip reaches every place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Range = tuple[float, float]


@dataclass(frozen=True)
class Workspace:
    """A range of distances and directions; places are told from the first joint, along some of the world's axes."""

    axes: tuple[int, ...]
    """Axes of the world in which the tip moves: (0, 2) for a vertical plane, (0, 1, 2) for space."""
    radius_m: Range
    """Distance from the centre."""
    elevation_rad: Range
    """Angle above the horizontal."""
    azimuth_rad: Range = (0.0, 0.0)
    """Angle about the vertical, from the axis x; a plane has none."""
    centre_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The centre, from the first joint."""

    def __post_init__(self) -> None:
        """Refuse what holds no places.

        Raises:
            ValueError: Axes that the world does not have, or a range whose ends are in the wrong order.
        """
        if self.axes not in ((0, 2), (0, 1, 2)):
            raise ValueError(f"axes must be (0, 2) or (0, 1, 2), not {self.axes}")
        for name in ("radius_m", "elevation_rad", "azimuth_rad"):
            low, high = getattr(self, name)
            if not low <= high or (name == "radius_m" and low < 0.0):
                raise ValueError(f"{name} must be a range, low then high, not {(low, high)}")

    def places(self, uniform: Array) -> Array:
        """Return places (n, D), even in area (D = 2) or volume (D = 3), for uniform numbers (n, 3)."""
        distance, height, turn = uniform.T
        r, (low, high), (left, right) = np.array(self.radius_m), self.elevation_rad, self.azimuth_rad
        if len(self.axes) == 2:  # area: r dr d(elevation)
            radius = np.sqrt(r[0] ** 2 + (r[1] ** 2 - r[0] ** 2) * distance)
            elevation = low + (high - low) * height
        else:  # volume: r2 dr d(sin elevation) d(azimuth)
            radius = np.cbrt(r[0] ** 3 + (r[1] ** 3 - r[0] ** 3) * distance)
            elevation = np.arcsin(np.sin(low) + (np.sin(high) - np.sin(low)) * height)
        azimuth = left + (right - left) * turn
        flat = radius * np.cos(elevation)
        place = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), radius * np.sin(elevation)], axis=-1)
        return (place + np.array(self.centre_m))[:, list(self.axes)]
