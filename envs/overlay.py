"""What is laid over a frame, however it was drawn: the translucent reference arm and the trail of the tip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .camera import Camera

Array = NDArray[Any]
GHOST_ALPHA = 0.38
GHOST_TINT = (64.0, 132.0, 196.0)  # a blue that no arm wears, also told from orange by colour-blind eyes
TINT_SHARE = 0.35
RIM_ALPHA = 0.55
TRAIL_RGB = (24, 104, 168)
TRAIL_SAMPLES = 3
BALL_FILL, BALL_RIM = 120, 235  # opacity of a ball and of its rim, 0 to 255


def blend_ghost(frame: Array, colour: Array, coverage: Array) -> Array:
    """Return the frame with a translucent cutout over it.

    The cutout's colours are kept in the main, so that a ghost that lies on its arm changes next to nothing; a thin rim
    shows where it is on a background as pale as itself.

    Args:
        frame: (H, W, 3) uint8.
        colour: Colour times coverage (H, W, 3), 0 to 255.
        coverage: (H, W), 0 to 1.
    """
    box = Image.fromarray((coverage > 0.0).astype(np.uint8)).getbbox()
    if box is None:
        return frame
    window = np.s_[max(box[1] - 2, 0) : box[3] + 2, max(box[0] - 2, 0) : box[2] + 2]
    below, colour, cover = frame[window].astype(np.float32), colour[window], coverage[window][..., None]
    tint = np.array(GHOST_TINT, dtype=np.float32) * cover
    ghost = (1.0 - TINT_SHARE) * colour + TINT_SHARE * tint
    mixed = below * (1.0 - GHOST_ALPHA * cover) + GHOST_ALPHA * ghost
    rim = RIM_ALPHA * _rim(cover[..., 0])[..., None]
    mixed = mixed * (1.0 - rim) + rim * np.array(GHOST_TINT, dtype=np.float32)
    out = frame.copy()
    out[window] = (mixed + 0.5).astype(np.uint8)
    return out


def _rim(coverage: Array) -> Array:
    """Return the inner edge of a silhouette, (h, w), 0 to 1: what it loses when it shrinks by a pixel."""
    solid = Image.fromarray((coverage * 255.0).astype(np.uint8))
    return coverage - np.asarray(solid.filter(ImageFilter.MinFilter(3)), dtype=np.float32) / 255.0


def draw_trail(frame: Array, points_m: Array, camera: Camera) -> Array:
    """Return the frame with a line through points (P, 3), the older the fainter."""
    pixels, depth = camera.project(points_m)
    mask = Image.new("L", (camera.width * TRAIL_SAMPLES, camera.height * TRAIL_SAMPLES))
    pen, last = ImageDraw.Draw(mask), len(points_m) - 1
    width = max(round(camera.height / 200.0 * TRAIL_SAMPLES), 1)
    for number in range(last):
        if depth[number] > 0.0 and depth[number + 1] > 0.0:
            ends = [tuple(pixels[number + k] * TRAIL_SAMPLES) for k in (0, 1)]
            pen.line(ends, fill=round(30 + 190 * (number + 1) / last), width=width)
    alpha = mask.reduce(TRAIL_SAMPLES)
    return np.asarray(Image.composite(Image.new("RGB", alpha.size, TRAIL_RGB), Image.fromarray(frame), alpha))


def draw_ball(frame: Array, place_m: Array, radius_m: float, camera: Camera, rgb: tuple[int, int, int]) -> Array:
    """Return the frame with a ball at a point (3,) over it: translucent, with a rim, so that what it hides is seen."""
    (column, row), depth = (array * TRAIL_SAMPLES for array in camera.project(np.asarray(place_m)))
    if depth <= 0.0:
        return frame
    radius = float(radius_m * camera.focal_px * TRAIL_SAMPLES**2 / depth)
    mask = Image.new("L", (camera.width * TRAIL_SAMPLES, camera.height * TRAIL_SAMPLES))
    box, rim = (column - radius, row - radius, column + radius, row + radius), max(round(radius / 5.0), TRAIL_SAMPLES)
    ImageDraw.Draw(mask).ellipse(box, fill=BALL_FILL, outline=BALL_RIM, width=rim)
    cover = mask.reduce(TRAIL_SAMPLES)
    return np.asarray(Image.composite(Image.new("RGB", cover.size, rgb), Image.fromarray(frame), cover))


def draw_curve(frame: Array, points_m: Array, camera: Camera, rgb: tuple[int, int, int], alpha: float = 1.0) -> Array:
    """Return the frame with an even line of a colour through points (P, 3)."""
    pixels, depth = camera.project(points_m)
    mask = Image.new("L", (camera.width * TRAIL_SAMPLES, camera.height * TRAIL_SAMPLES))
    width = max(round(camera.height / 140.0 * TRAIL_SAMPLES), 1)
    ahead = [tuple(point * TRAIL_SAMPLES) for point, far in zip(pixels, depth, strict=True) if far > 0.0]
    if len(ahead) > 1:
        ImageDraw.Draw(mask).line(ahead, fill=round(255 * alpha), width=width, joint="curve")
    cover = mask.reduce(TRAIL_SAMPLES)
    return np.asarray(Image.composite(Image.new("RGB", cover.size, rgb), Image.fromarray(frame), cover))
