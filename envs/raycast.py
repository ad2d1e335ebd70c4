"""Where rays meet MuJoCo's primitives: closed forms, for all rays of a picture's window at once.

In every function the shape sits at the origin with its axis along z, `o` (3,) is the common start of the rays, `d`
(N, 3) are their directions, `size` (3,) is MuJoCo's geom_size. Returned are t (N,), how far along its direction a ray
first enters the shape (inf: never), and the outward normals there (N, 3), not normalised. Rays start outside.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Hit = tuple[Array, Array]
Kind = mujoco.mjtGeom
TINY = 1e-12


def _entry(a: Array, b: Array, c: Any) -> Array:
    """Return the smaller root of a t^2 + 2 b t + c, inf where there is none; a negative one lies behind the start."""
    a = np.maximum(a, TINY)
    inside = b * b - a * c
    return np.where(inside > 0.0, (-b - np.sqrt(np.maximum(inside, 0.0))) / a, np.inf)


def _ahead(t: Array) -> Array:
    """Return t with what lies behind the start taken for a miss."""
    return np.where(t > 0.0, t, np.inf)


def _dot(x: Array, y: Array) -> Array:
    return np.einsum("...k,...k->...", x, y)


def _along(o: Array, d: Array, t: Array) -> Array:
    """Return the points at t, with the misses left at the start."""
    return o + np.where(np.isfinite(t), t, 0.0)[:, None] * d


def ellipsoid(o: Array, d: Array, size: Array) -> Hit:
    """Return where rays meet an ellipsoid of half axes `size`."""
    unit_o, unit_d = o / size, d / size
    t = _ahead(_entry(_dot(unit_d, unit_d), unit_d @ unit_o, unit_o @ unit_o - 1.0))
    return t, _along(o, d, t) / size**2


def sphere(o: Array, d: Array, size: Array) -> Hit:
    """Return where rays meet a sphere of radius size[0]."""
    return ellipsoid(o, d, np.full(3, size[0], dtype=np.float32))


def _tube(o: Array, d: Array, radius: float) -> tuple[Array, Array]:
    """Return t and height z of the entry into an endless cylinder, behind the start where that lies inside."""
    t = _entry(_dot(d[:, :2], d[:, :2]), d[:, :2] @ o[:2], o[:2] @ o[:2] - radius**2)
    return t, o[2] + np.where(np.isfinite(t), t, 0.0) * d[:, 2]


def capsule(o: Array, d: Array, size: Array) -> Hit:
    """Return where rays meet a capsule of radius size[0] and half length size[1].

    A ray that enters the endless cylinder above (below) the body can only meet the upper (lower) cap first.
    """
    radius, half = size[0], size[1]
    t, z = _tube(o, d, radius)
    end = np.clip(z, -half, half)  # (N,): the point of the axis nearest the entry
    centre = o - np.stack([np.zeros_like(end), np.zeros_like(end), end], axis=1)
    cap = _entry(_dot(d, d), _dot(d, centre), _dot(centre, centre) - radius**2)
    t = _ahead(np.where(np.abs(z) < half, t, np.where(np.isfinite(t), cap, np.inf)))
    normal = _along(o, d, t)
    normal[:, 2] -= np.clip(normal[:, 2], -half, half)
    return t, normal


def cylinder(o: Array, d: Array, size: Array) -> Hit:
    """Return where rays meet a cylinder of radius size[0] and half length size[1]."""
    radius, half = size[0], size[1]
    side, z = _tube(o, d, radius)
    slope = np.where(np.abs(d[:, 2]) < TINY, TINY, d[:, 2])
    lid = (-np.sign(slope) * half - o[2]) / slope  # the lid that faces the ray
    at = o[:2] + lid[:, None] * d[:, :2]
    on_lid = (_dot(at, at) <= radius**2) & (lid > 0.0)
    t = np.where(on_lid, lid, np.where(np.abs(z) <= half, _ahead(side), np.inf))
    normal = _along(o, d, t)
    normal[:, 2] = np.where(on_lid, -np.sign(slope), 0.0)
    normal[:, :2] *= ~on_lid[:, None]
    return t, normal


def box(o: Array, d: Array, size: Array) -> Hit:
    """Return where rays meet a box of half sides `size`: the last slab to be entered, if before the first exit."""
    slope = np.where(np.abs(d) < TINY, TINY, d)
    near, far = (-size * np.sign(slope) - o) / slope, (size * np.sign(slope) - o) / slope
    face = near.argmax(axis=1)
    enter = np.take_along_axis(near, face[:, None], axis=1)[:, 0]
    t = np.where((enter < far.min(axis=1)) & (enter > 0.0), enter, np.inf)
    return t, -np.sign(slope) * (np.arange(3) == face[:, None])


def plane(o: Array, d: Array, size: Array) -> Hit:
    """Return where rays meet the plane z = 0 from above, within half sides size[:2] where these are not 0."""
    t = np.where(d[:, 2] < -TINY, -o[2] / np.minimum(d[:, 2], -TINY), np.inf)
    at = np.abs(_along(o, d, t)[:, :2])
    inside = (at <= np.where(size[:2] > 0.0, size[:2], np.inf)).all(axis=1) & (t > 0.0)
    return np.where(inside, t, np.inf), np.broadcast_to(np.array([0.0, 0.0, 1.0], dtype=np.float32), d.shape)


SHAPES = {
    int(Kind.mjGEOM_PLANE): plane,
    int(Kind.mjGEOM_SPHERE): sphere,
    int(Kind.mjGEOM_ELLIPSOID): ellipsoid,
    int(Kind.mjGEOM_CAPSULE): capsule,
    int(Kind.mjGEOM_CYLINDER): cylinder,
    int(Kind.mjGEOM_BOX): box,
}


def half_extents(kind: int, size: Array) -> Array:
    """Return the half sides (3,) of the box around a shape that is no plane."""
    radius, half = size[0], size[1]
    return {
        int(Kind.mjGEOM_SPHERE): np.array([radius, radius, radius]),
        int(Kind.mjGEOM_CAPSULE): np.array([radius, radius, half + radius]),
        int(Kind.mjGEOM_CYLINDER): np.array([radius, radius, half]),
    }.get(kind, np.array(size))


def outline_points(kind: int, size: Array) -> Array:
    """Return points (P, 3) whose convex hull is, nearly, the shape: what its shadow is drawn from."""
    turn = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)
    ball = np.concatenate([circle, circle[:, [0, 2, 1]], circle[:, [2, 0, 1]]])
    up = np.array([0.0, 0.0, 1.0])
    if kind == int(Kind.mjGEOM_BOX):
        return np.array(np.meshgrid(*([-1.0, 1.0],) * 3)).reshape(3, -1).T * size
    if kind == int(Kind.mjGEOM_CYLINDER):
        return np.concatenate([size[0] * circle + size[1] * up, size[0] * circle - size[1] * up])
    if kind == int(Kind.mjGEOM_CAPSULE):
        return np.concatenate([size[0] * ball + size[1] * up, size[0] * ball - size[1] * up])
    return ball * (size if kind == int(Kind.mjGEOM_ELLIPSOID) else size[0])
