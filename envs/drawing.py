"""Pictures without OpenGL: MuJoCo's primitives by ray casting, shaded by their normals, on a soft floor with a grid.

What stands still is drawn once; a frame casts rays only in the windows of the moving shapes. Twice as many pixels each
way are drawn as are shown, for smooth edges. Colours, light and lengths of the look are our own choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .camera import Camera, camera_number, camera_of
from .raycast import SHAPES, half_extents, outline_points, plane

Array = NDArray[Any]
SHOWN_GROUPS = 3  # as in MuJoCo's own pictures: geom groups 0, 1 and 2


@dataclass(frozen=True)
class Look:
    """How the software pictures look; colours run from 0 to 1."""

    samples: int = 2
    """Pixels drawn per pixel shown, each way."""
    zenith: tuple[float, float, float] = (0.62, 0.71, 0.82)
    """Colour of the sky well above the horizon."""
    horizon: tuple[float, float, float] = (0.93, 0.95, 0.97)
    """Colour of the sky at the horizon, and of the floor far away."""
    floor: tuple[float, float, float] = (0.80, 0.82, 0.85)
    """Colour of the floor."""
    line: float = 0.06
    """How much darker the lines of the grid are."""
    tile_m: float = 0.5
    """Distance of the lines of the grid, m."""
    haze_m: float = 9.0
    """Distance at which the floor begins to vanish in the haze, m."""
    to_light: tuple[float, float, float] = (0.22, -0.44, 0.87)
    """Direction to the light where the model has none."""
    ambient: float = 0.42
    """Light from everywhere."""
    sky_light: float = 0.16
    """How much more of it comes from above than from below."""
    diffuse: float = 0.50
    """Light from the lamp."""
    headlight: float = 0.22
    """Light from the camera."""
    specular: float = 0.22
    """Strength of the highlight."""
    shininess: float = 40.0
    """Exponent of the highlight."""
    shadow: float = 0.30
    """How much darker the floor is in the shadow."""
    shadow_blur_px: float = 3.0
    """Softness of the shadow's edge, at 480 pixels of height."""


class Canvas(NamedTuple):
    """A picture in the making."""

    colour: Array
    """(h, w, 3) uint8."""
    depth: Array
    """(h, w) float32, m; inf where nothing has been drawn."""

    def copy(self) -> Canvas:
        """Return a canvas of its own."""
        return Canvas(self.colour.copy(), self.depth.copy())


class SoftwareView:
    """Draws one model through one of its cameras."""

    def __init__(
        self, model: mujoco.MjModel, width: int, height: int, camera: str = "view", look: Look | None = None
    ) -> None:
        """Prepare; nothing is drawn yet. Raises ValueError for an unknown camera or a shape that is no primitive."""
        self._model, self._size, self._look = model, (width, height), look or Look()
        self._camera = camera_number(model, camera)
        unknown = sorted(set(model.geom_type.tolist()) - set(SHAPES))
        if unknown:
            good = [mujoco.mjtGeom(kind).name for kind in SHAPES]
            raise ValueError(f"cannot draw {mujoco.mjtGeom(unknown[0]).name} in software; choose from {good}")
        shown = (model.geom_group < SHOWN_GROUPS) & (_rgba(model, np.arange(model.ngeom))[:, 3] > 0.0)
        solid = model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE
        moves = model.body_weldid[model.geom_bodyid] != 0
        self._moving, self._still = np.flatnonzero(shown & solid & moves), np.flatnonzero(shown & solid & ~moves)
        self._floors = np.flatnonzero(shown & ~solid)
        self._key, self._stage = b"", None

    def picture(self, data: mujoco.MjData) -> Array:
        """Return the scene, (H, W, 3) uint8."""
        stage = self._stage_for(data)
        canvas = stage.canvas.copy()
        self._shade_floor(canvas, stage, data)
        self._draw(canvas, stage, data, self._moving)
        return np.asarray(Image.fromarray(canvas.colour).reduce(self._look.samples))

    def cutout(self, data: mujoco.MjData) -> tuple[Array, Array]:
        """Return the moving shapes alone: colour times coverage (H, W, 3), 0 to 255, and coverage (H, W), 0 to 1."""
        stage = self._stage_for(data)
        empty = Canvas(np.zeros_like(stage.canvas.colour), np.full_like(stage.canvas.depth, np.inf))
        self._draw(empty, stage, data, self._moving)
        samples = self._look.samples
        colour = np.asarray(Image.fromarray(empty.colour).reduce(samples), dtype=np.float32)
        hit = Image.fromarray(np.isfinite(empty.depth).astype(np.uint8) * 255).reduce(samples)
        return colour, np.asarray(hit, dtype=np.float32) / 255.0

    def close(self) -> None:
        """Let go of the prepared picture."""
        self._key, self._stage = b"", None

    def _stage_for(self, data: mujoco.MjData) -> Stage:
        """Return what stands still, drawn again only where the camera or a still shape has moved."""
        still = (*self._still, *self._floors)
        parts = (data.cam_xpos[self._camera], data.cam_xmat[self._camera], data.geom_xpos[[*still]])
        key = b"".join(part.tobytes() for part in parts)
        if self._stage is None or key != self._key:
            self._key, self._stage = key, self._build_stage(data)
        return self._stage

    def _build_stage(self, data: mujoco.MjData) -> Stage:
        look = self._look
        shown = camera_of(self._model, data, self._camera, *self._size)
        camera = shown.finer(look.samples)
        rays = camera.rays()
        canvas = Canvas(_sky(rays, look), np.full(rays.shape[:2], np.inf, dtype=np.float32))
        stage = Stage(shown, camera, rays, canvas, _to_light(self._model, data, look), np.zeros(0), None)
        for floor in self._floors[:1]:
            _draw_floor(canvas, rays, camera, data.geom_xpos[floor], data.geom_xmat[floor].reshape(3, 3), look)
        bare = canvas.depth.copy()
        self._draw(canvas, stage, data, self._still)
        shadows = Image.new("L", self._size)
        self._cast(shadows, stage, data, self._still)
        return stage._replace(floor_seen=np.isfinite(bare) & (canvas.depth == bare), shadows=shadows)

    def _cast(self, picture: Image.Image, stage: Stage, data: mujoco.MjData, geoms: Array) -> None:
        """Draw the shadows that shapes cast on the floor: convex shapes cast convex shadows."""
        if not len(self._floors):
            return
        floor = self._floors[0]
        origin, normal = data.geom_xpos[floor], data.geom_xmat[floor].reshape(3, 3)[:, 2]
        pen = ImageDraw.Draw(picture)
        for geom in geoms:
            points = outline_points(int(self._model.geom_type[geom]), self._model.geom_size[geom])
            points = points @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
            drop = ((points - origin) @ normal) / (stage.to_light @ normal)
            pixels, depth = stage.shown.project(points - drop[:, None] * stage.to_light)
            if (depth > 0.0).all() and (drop > 0.0).any():
                pen.polygon([tuple(corner) for corner in _hull(pixels)], fill=255)

    def _shade_floor(self, canvas: Canvas, stage: Stage, data: mujoco.MjData) -> None:
        """Darken the floor where the still and the moving shapes stand in its light."""
        assert stage.shadows is not None
        shadows = stage.shadows.copy()
        self._cast(shadows, stage, data, self._moving)
        shadows = shadows.filter(ImageFilter.GaussianBlur(self._look.shadow_blur_px * self._size[1] / 480.0))
        where = shadows.getbbox()
        if where is None:
            return
        left, top, right, bottom = (edge * self._look.samples for edge in where)
        window = np.s_[top:bottom, left:right]
        dark = np.asarray(shadows.crop(where).resize((right - left, bottom - top), Image.Resampling.BILINEAR))
        light = 1.0 - self._look.shadow / 255.0 * dark * stage.floor_seen[window]
        canvas.colour[window] = canvas.colour[window] * light[..., None]

    def _draw(self, canvas: Canvas, stage: Stage, data: mujoco.MjData, geoms: Array) -> None:
        """Draw shapes over what is farther away."""
        colours = _rgba(self._model, geoms)[:, :3]
        for geom, colour in zip(geoms, colours, strict=True):
            kind, size = int(self._model.geom_type[geom]), self._model.geom_size[geom]
            turn = data.geom_xmat[geom].reshape(3, 3)
            window = _window(stage.camera, data.geom_xpos[geom], turn, half_extents(kind, size))
            rays = stage.rays[window]
            if rays.size == 0:
                continue
            start = ((stage.camera.position_m - data.geom_xpos[geom]) @ turn).astype(np.float32)
            local = rays.reshape(-1, 3) @ turn.astype(np.float32)
            t, normal = SHAPES[kind](start, local, size.astype(np.float32))
            depth = canvas.depth[window]
            nearer = t.reshape(depth.shape) < depth
            flat = nearer.ravel()
            shaded = _shade(normal[flat], local[flat], stage.to_light @ turn, turn[2], colour, self._look)
            canvas.colour[window][nearer] = shaded
            depth[nearer] = t[flat]


class Stage(NamedTuple):
    """What stands still, as the camera sees it."""

    shown: Camera
    camera: Camera
    rays: Array
    canvas: Canvas
    to_light: Array
    floor_seen: Array
    shadows: Image.Image | None


def _rgba(model: mujoco.MjModel, geoms: Array) -> Array:
    """Return the colours of shapes (n, 4): their material's, else their own."""
    material = model.geom_matid[geoms]
    if model.nmat == 0:
        return model.geom_rgba[geoms]
    return np.where((material >= 0)[:, None], model.mat_rgba[np.maximum(material, 0)], model.geom_rgba[geoms])


def _to_light(model: mujoco.MjModel, data: mujoco.MjData, look: Look) -> Array:
    """Return the unit vector to the first directional lamp, or the look's own."""
    lamps = np.flatnonzero(model.light_type == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL) if model.nlight else []
    direction = -data.light_xdir[lamps[0]] if len(lamps) else np.array(look.to_light)
    return direction / np.linalg.norm(direction)


def _sky(rays: Array, look: Look) -> Array:
    """Return the sky (h, w, 3): pale at the horizon, bluer above."""
    height = np.clip(rays[..., 2] / np.linalg.norm(rays, axis=-1), 0.0, 1.0)[..., None] ** 0.6
    return _bytes(np.array(look.horizon) + (np.array(look.zenith) - look.horizon) * height)


def _draw_floor(canvas: Canvas, rays: Array, camera: Camera, origin: Array, turn: Array, look: Look) -> None:
    """Draw an endless floor with a grid that fades into the haze."""
    start = ((camera.position_m - origin) @ turn).astype(np.float32)
    local = rays.reshape(-1, 3) @ turn.astype(np.float32)
    t, _ = plane(start, local, np.zeros(3))
    hit = np.isfinite(t)
    at = start[:2] + t[hit, None] * local[hit, :2]
    distance = np.linalg.norm(at - start[:2], axis=1)
    off_line = np.abs(at / look.tile_m - np.round(at / look.tile_m)).min(axis=1) * look.tile_m
    wide = 0.008 + distance / camera.focal_px * 1.5  # never thinner than a pixel or so
    near = np.exp(-((distance / look.haze_m) ** 2))[:, None]
    line = look.line * np.clip(1.5 - off_line / wide, 0.0, 1.0)[:, None] * np.clip(0.016 / wide, 0.0, 1.0)[:, None]
    colour = np.array(look.horizon) + (np.array(look.floor) - line - look.horizon) * near
    shape = canvas.depth.shape
    canvas.colour[hit.reshape(shape)] = _bytes(colour)
    canvas.depth[hit.reshape(shape)] = t[hit]


def _window(camera: Camera, place: Array, turn: Array, half: Array) -> tuple[slice, slice]:
    """Return the rows and columns in which a box around a shape can be seen."""
    corners = np.array(np.meshgrid(*([-1.0, 1.0],) * 3)).reshape(3, -1).T * half
    pixels, depth = camera.project(place + corners @ turn.T)
    if (depth <= 0.0).all():
        return np.s_[0:0, 0:0]
    if (depth <= 0.0).any():
        return np.s_[0 : camera.height, 0 : camera.width]
    low, high = np.floor(pixels.min(axis=0)).astype(int), np.ceil(pixels.max(axis=0)).astype(int) + 1
    low, high = np.maximum(low, 0), np.maximum(high, 0)
    return np.s_[low[1] : min(high[1], camera.height), low[0] : min(high[0], camera.width)]


def _shade(normal: Array, ray: Array, to_light: Array, up: Array, colour: Array, look: Look) -> Array:
    """Return the colours (n, 3) of points with these normals, all vectors in the shape's own frame."""
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    to_eye = -ray / np.linalg.norm(ray, axis=1, keepdims=True)
    lamp = np.maximum(normal @ to_light, 0.0)
    halfway = to_light + to_eye
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    highlight = np.maximum(np.einsum("nk,nk->n", normal, halfway), 0.0) ** look.shininess
    facing = np.maximum(np.einsum("nk,nk->n", normal, to_eye), 0.0)
    light = look.ambient + look.sky_light * (normal @ up) + look.diffuse * lamp + look.headlight * facing
    return _bytes(colour * light[:, None] + look.specular * (highlight * (lamp > 0.0))[:, None])


def _bytes(colour: Array) -> Array:
    return (np.clip(colour, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _hull(points: Array) -> list[Array]:
    """Return the convex hull of points (P, 2) in order, by Andrew's monotone chain."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]

    def half(chain: Array) -> list[Array]:
        kept: list[Array] = []
        for point in chain:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= 0.0:
                kept.pop()
            kept.append(point)
        return kept[:-1]

    return half(ordered) + half(ordered[::-1])


def _turn(a: Array, b: Array, c: Array) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
