"""Pictures with OpenGL, through a context chosen when it is needed and not when mujoco is imported.

`import mujoco` reads MUJOCO_GL and ties mujoco.Renderer to that backend for good; by the time a script knows that it
wants a picture the import is long past. MuJoCo's contexts themselves, its scene and its drawing calls know nothing of
the variable, so we hold a context of our own choice and leave mujoco.Renderer alone.
"""

from __future__ import annotations

import importlib
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera import camera_number

Array = NDArray[Any]
CONTEXTS = {"egl": "mujoco.egl", "osmesa": "mujoco.osmesa", "glfw": "mujoco.glfw"}
N_SAMPLES = 4  # per pixel; without them edges are jagged, and the drawing is still quick (tests name no figure)


class OpenGLView:
    """Draws one model through one of its cameras."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int, camera: str, backend: str) -> None:
        """Open a context. Raises ValueError for an unknown camera, ImportError or RuntimeError without the backend."""
        self._model, self._camera = model, camera_number(model, camera)
        self._context: Any = importlib.import_module(CONTEXTS[backend]).GLContext(width, height)
        self._context.make_current()
        self._buffers: Any = _buffers(model, width, height)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=4 * model.ngeom + 100)
        self._shape = (height, width, 3)

    def picture(self, data: mujoco.MjData) -> Array:
        """Return the scene, (H, W, 3) uint8."""
        self._fill_scene(data, mujoco.mjtCatBit.mjCAT_ALL)
        return self._read()

    def cutout(self, data: mujoco.MjData) -> tuple[Array, Array]:
        """Return the moving shapes alone: colour times coverage (H, W, 3), 0 to 255, and coverage (H, W), 0 to 1.

        Drawn on black the colours come out times their coverage; drawn again in plain white they are the coverage.
        """
        self._fill_scene(data, mujoco.mjtCatBit.mjCAT_DYNAMIC)
        flags = self._scene.flags.copy()
        try:
            for flag in ("mjRND_SKYBOX", "mjRND_SHADOW", "mjRND_HAZE", "mjRND_FOG", "mjRND_REFLECTION"):
                self._scene.flags[getattr(mujoco.mjtRndFlag, flag)] = 0
            colour = self._read().astype(np.float32)
            self._whiten()
            return colour, self._read()[..., 0].astype(np.float32) / 255.0
        finally:
            self._scene.flags[:] = flags

    def close(self) -> None:
        """Give the buffers and the context back; a second call does nothing."""
        if self._context is None:
            return
        self._context.make_current()
        self._buffers.free()
        self._context.free()
        self._buffers = self._context = None

    def _fill_scene(self, data: mujoco.MjData, what: mujoco.mjtCatBit) -> None:
        camera = mujoco.MjvCamera()
        camera.type, camera.fixedcamid = int(mujoco.mjtCamera.mjCAMERA_FIXED), self._camera
        mujoco.mjv_updateScene(self._model, data, mujoco.MjvOption(), None, camera, int(what), self._scene)

    def _whiten(self) -> None:
        """Make every shape of the scene plain white, lit by itself."""
        for shape in self._scene.geoms[: self._scene.ngeom]:
            shape.matid, shape.emission, shape.specular = -1, 1.0, 0.0
            shape.rgba[:] = 1.0
        for light in self._scene.lights[: self._scene.nlight]:
            light.ambient[:] = light.diffuse[:] = light.specular[:] = 0.0

    def _read(self) -> Array:
        """Draw the scene and return its pixels, first row on top."""
        if self._context is None:
            raise RuntimeError("render was called after close")
        self._context.make_current()
        pixels = np.empty(self._shape, dtype=np.uint8)
        mujoco.mjr_render(self._rectangle, self._scene, self._buffers)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._buffers)
        return pixels[::-1].copy()


def _buffers(model: mujoco.MjModel, width: int, height: int) -> Any:
    """Return drawing buffers of this size with smooth edges; the model is left as it was."""
    sizes, quality = model.vis.global_, model.vis.quality
    before = sizes.offwidth, sizes.offheight, quality.offsamples
    try:
        sizes.offwidth, sizes.offheight, quality.offsamples = width, height, N_SAMPLES
        buffers = mujoco.MjrContext(model, int(mujoco.mjtFontScale.mjFONTSCALE_100))
    finally:
        sizes.offwidth, sizes.offheight, quality.offsamples = before
    mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), buffers)
    return buffers
