"""Drawn characters made on the fly: smooth random strokes, drawn again and again by an unsteady hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDE = 28  # pixels, as Omniglot's pictures are made here


@dataclass(frozen=True)
class GlyphCfg:
    """How characters differ, and how drawings of one character differ; lengths in units of the picture's side."""

    max_strokes: int = 4
    """Strokes of a character: 1 to this many."""
    control_points: int = 4
    """Points that bend a stroke (a Bezier curve's)."""
    reach: float = 0.6
    """Standard deviation of a stroke's control points about its own centre, before the character is made to fit."""
    wobble: float = 0.035
    """Standard deviation of each control point from drawing to drawing."""
    tilt_rad: float = 0.12
    """Standard deviation of the rotation of a drawing."""
    stretch: float = 0.12
    """Standard deviation of the logarithm of a drawing's width and height."""
    shift: float = 0.05
    """Standard deviation of a drawing's place."""
    samples: int = 96
    """Points of ink along a stroke."""


def draw_glyphs(n_characters: int, n_drawings: int, rng: np.random.Generator, cfg: GlyphCfg = GlyphCfg()) -> np.ndarray:
    """Return drawings of new characters, ink bright.

    Returns:
        uint8, (n_characters, n_drawings, 28, 28).
    """
    points, present = _characters(n_characters, rng, cfg)
    hand = _drawings(points, n_drawings, rng, cfg)
    return np.stack([_ink(hand[c], present[c], cfg) for c in range(n_characters)])


def _characters(n: int, rng: np.random.Generator, cfg: GlyphCfg) -> tuple[np.ndarray, np.ndarray]:
    """Return control points (n, strokes, points, 2) in [-.36, .36] and which strokes a character has (n, strokes)."""
    centre = rng.normal(0.0, cfg.reach / 2, (n, cfg.max_strokes, 1, 2))
    points = centre + rng.normal(0.0, cfg.reach, (n, cfg.max_strokes, cfg.control_points, 2))
    present = np.arange(cfg.max_strokes) < rng.integers(1, cfg.max_strokes + 1, n)[:, None]
    curve = np.where(present[:, :, None, None], _along(points, 12), np.nan)
    low, high = np.nanmin(curve, axis=(1, 2)), np.nanmax(curve, axis=(1, 2))
    size = np.maximum((high - low).max(-1), 1e-6)
    middle = (low + high) / 2
    return 0.72 * (points - middle[:, None, None]) / size[:, None, None, None], present


def _drawings(points: np.ndarray, n: int, rng: np.random.Generator, cfg: GlyphCfg) -> np.ndarray:
    """Return the control points of n drawings of each character, (characters, n, strokes, points, 2)."""
    count = points.shape[0]
    moved = points[:, None] + rng.normal(0.0, cfg.wobble, (count, n, *points.shape[1:]))
    angle = rng.normal(0.0, cfg.tilt_rad, (count, n, 1, 1))
    scale = np.exp(rng.normal(0.0, cfg.stretch, (count, n, 1, 1, 2)))
    place = rng.normal(0.0, cfg.shift, (count, n, 1, 1, 2))
    x, y = moved[..., 0], moved[..., 1]
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], -1)
    return turned * scale + place


def _along(points: np.ndarray, samples: int) -> np.ndarray:
    """Return points along Bezier curves, (..., samples, 2), from control points (..., points, 2)."""
    t = np.linspace(0.0, 1.0, samples)[:, None]
    degree = points.shape[-2] - 1
    k = np.arange(degree + 1)
    binomial = np.cumprod(np.concatenate([[1.0], (degree - k[:-1]) / (k[:-1] + 1)]))
    return (binomial * t**k * (1 - t) ** (degree - k)) @ points


def _ink(points: np.ndarray, present: np.ndarray, cfg: GlyphCfg) -> np.ndarray:
    """Return pictures (drawings, 28, 28) of one character from its control points (drawings, strokes, points, 2)."""
    n = points.shape[0]
    curve = _along(points[:, present], cfg.samples).reshape(n, -1, 2)
    place = np.clip((curve + 0.5) * SIDE - 0.5, 0.0, SIDE - 1.001)
    whole = np.floor(place).astype(np.int64)
    part = place - whole
    canvas = np.zeros(n * SIDE * SIDE)
    start = np.arange(n)[:, None] * SIDE * SIDE
    for dy in (0, 1):  # the ink of a point falls on its four pixels in proportion to their nearness
        for dx in (0, 1):
            share = np.abs(1 - dx - part[..., 0]) * np.abs(1 - dy - part[..., 1])
            index = start + (whole[..., 1] + dy) * SIDE + whole[..., 0] + dx
            canvas += np.bincount(index.ravel(), share.ravel(), canvas.size)
    wet = np.minimum(canvas.reshape(n, SIDE, SIDE), 1.0)
    return (255 * np.minimum(1.6 * _blur(wet), 1.0)).astype(np.uint8)


def _blur(picture: np.ndarray) -> np.ndarray:
    """Return pictures blurred by the pen's width, a 1-2-1 filter along both axes."""
    wide = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    rows = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4
