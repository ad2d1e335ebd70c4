"""Pictures of an arm: through OpenGL where it works, else drawn in software; the reference as a ghost, the tip's trail.

Which way is taken is found out once per process. The environment variable PHASEARM_RENDER names one of BACKENDS and
forces it ("software" needs no graphics library at all); else MuJoCo's own MUJOCO_GL comes first, then egl, osmesa and
the software drawing. An OpenGL backend counts as working when a process of its own has drawn a frame with it: a broken
driver can kill the process that tries it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera import camera_number, camera_of
from .drawing import SoftwareView
from .opengl import CONTEXTS, OpenGLView
from .overlay import blend_ghost, draw_ball, draw_curve, draw_trail

Array = NDArray[Any]
GOAL_RADIUS_M, GOAL_RGB = 0.05, (30, 130, 70)  # as near as the tip has to come
TIP_RADIUS_M, TIP_RGB = 0.012, (190, 30, 60)
BACKENDS = (*CONTEXTS, "software")
PROBE_TIMEOUT_S = 60.0
PROBE = """
import importlib, sys, mujoco, numpy
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1' rgba='1 1 1 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
context = importlib.import_module(sys.argv[1]).GLContext(64, 64)
context.make_current()
buffers = mujoco.MjrContext(model, 100)
mujoco.mjr_setBuffer(1, buffers)
scene = mujoco.MjvScene(model, maxgeom=10)
mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, mujoco.MjvCamera(), 7, scene)
pixels = numpy.zeros((64, 64, 3), numpy.uint8)
mujoco.mjr_render(mujoco.MjrRect(0, 0, 64, 64), scene, buffers)
mujoco.mjr_readPixels(pixels, None, mujoco.MjrRect(0, 0, 64, 64), buffers)
buffers.free()
context.free()
sys.exit(0 if pixels.max() > 100 else 1)
"""


class Curve(NamedTuple):
    """A line in the world."""

    points_m: Array
    """Shape (P, 3)."""
    rgb: tuple[int, int, int]
    """Colour, 0 to 255."""
    alpha: float = 1.0
    """Opacity, 0 to 1."""


class View(Protocol):
    """What a way of drawing must be able to do."""

    def picture(self, data: mujoco.MjData) -> Array:
        """Return the scene, (H, W, 3) uint8."""
        ...

    def cutout(self, data: mujoco.MjData) -> tuple[Array, Array]:
        """Return the moving shapes: colour times coverage (H, W, 3), 0 to 255, and coverage (H, W), 0 to 1."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class Renderer:
    """Draws frames of one model."""

    def __init__(self, model: mujoco.MjModel, view: View, backend: str, size: tuple[int, int], camera: str) -> None:
        """Hold the model and a way of drawing it; see make_renderer."""
        self.backend = backend
        self._model, self._view, self._size = model, view, size
        self._camera = camera_number(model, camera)
        self._ghost = mujoco.MjData(model)

    def render(
        self,
        data: mujoco.MjData,
        ghost_q: Any = None,
        trail: Any = None,
        curves: Sequence[Curve] = (),
        goal_m: Any = None,
        tip_m: Any = None,
    ) -> Array:
        """Return a frame (H, W, 3) uint8.

        Args:
            data: The arm, with its kinematics up to date (after mj_step, mj_forward or mj_kinematics and mj_camlight).
            ghost_q: Joint positions (nq,), rad, of a translucent copy of what moves; None: no ghost.
            trail: Points (P, 3), m, oldest first, that a fading line is drawn through; None: no line.
            curves: Even lines, the last on top.
            goal_m: Place (3,), m, of a translucent ball, where the tip is to go; None: no ball.
            tip_m: Place (3,), m, of a dot; None: no dot.
        """
        frame = self._view.picture(data)
        if ghost_q is not None:
            frame = blend_ghost(frame, *self._view.cutout(self._posed(ghost_q)))
        camera = camera_of(self._model, data, self._camera, *self._size)
        for curve in curves:
            frame = draw_curve(frame, np.asarray(curve.points_m), camera, curve.rgb, curve.alpha)
        if trail is not None and len(trail) > 1:
            frame = draw_trail(frame, np.asarray(trail), camera)
        if goal_m is not None:
            frame = draw_ball(frame, goal_m, GOAL_RADIUS_M, camera, GOAL_RGB)
        return frame if tip_m is None else draw_ball(frame, tip_m, TIP_RADIUS_M, camera, TIP_RGB)

    def close(self) -> None:
        """Give back what the drawing holds."""
        self._view.close()

    def _posed(self, q_rad: Any) -> mujoco.MjData:
        q_rad = np.asarray(q_rad, dtype=np.float64)
        if q_rad.shape != (self._model.nq,):
            raise ValueError(f"ghost_q has shape {q_rad.shape}; this model needs ({self._model.nq},)")
        self._ghost.qpos[:] = q_rad
        mujoco.mj_kinematics(self._model, self._ghost)
        mujoco.mj_comPos(self._model, self._ghost)  # cameras and lamps hang on it
        mujoco.mj_camlight(self._model, self._ghost)
        return self._ghost


def make_renderer(model: mujoco.MjModel, width: int = 640, height: int = 480, camera: str = "view") -> Renderer:
    """Return what draws a model's frames; close it when done.

    Args:
        model: Any model made of primitives.
        width: Width of a frame, pixels; even, since video needs it.
        height: Height of a frame, pixels; even.
        camera: Name of one of the model's cameras.

    Raises:
        ValueError: Odd or empty size, or no such camera.
    """
    if width < 2 or height < 2 or width % 2 or height % 2:
        raise ValueError(f"a frame of {width} x {height} pixels; width and height must be even and at least 2")
    camera_number(model, camera)
    backend = backend_name()
    if backend == "software":
        view: View = SoftwareView(model, width, height, camera)
    else:
        view = OpenGLView(model, width, height, camera, backend)
    return Renderer(model, view, backend, (width, height), camera)


def backend_name() -> str:
    """Return how this process draws: one of BACKENDS.

    Raises:
        ValueError: PHASEARM_RENDER names nothing known, or something that cannot draw here.
    """
    forced = os.environ.get("PHASEARM_RENDER", "").strip().lower()
    if not forced:
        return _first_that_works(os.environ.get("MUJOCO_GL", "").strip().lower())
    if forced not in BACKENDS:
        raise ValueError(f"unknown PHASEARM_RENDER {forced!r}; choose from {sorted(BACKENDS)}")
    if forced != "software" and not works(forced):
        raise ValueError(f"PHASEARM_RENDER={forced} cannot draw on this machine; choose software, or leave it unset")
    return forced


def _first_that_works(users: str) -> str:
    """Return the first backend that draws, beginning with the user's MUJOCO_GL."""
    if users in ("disable", "disabled", "off", "false", "0"):  # MuJoCo's own words for no OpenGL
        return "software"
    order = dict.fromkeys([users, "egl", "osmesa"]) if users in CONTEXTS else ("egl", "osmesa")
    return next((name for name in order if works(name)), "software")


@lru_cache(maxsize=len(CONTEXTS))
def works(backend: str) -> bool:
    """Return whether an OpenGL backend draws a frame, tried in a process of its own."""
    # The backend itself wants PYOPENGL_PLATFORM for itself, and mujoco's import must not load another one.
    clean = {key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"}
    command = [sys.executable, "-c", PROBE, CONTEXTS[backend]]
    try:
        tried = subprocess.run(
            command, env=clean | {"MUJOCO_GL": "disable"}, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
