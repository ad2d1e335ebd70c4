"""Many arms stepped by MuJoCo XLA (MJX): the calls of mujoco.batch.Batch that ArmVectorEnv makes, on JAX.

Bodies and states stay in a Batch, whose arrays the environment reads and writes; in every control step MJX gets the
states and gives them back. Two things that MJX has not are done here: motors that obey late (it keeps no history of
controls) and motors that drive another joint from arm to arm.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from copy import copy
from functools import lru_cache
from io import StringIO
from typing import Any, NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from .dynamics import MAX_DELAY_STEPS

Array = NDArray[Any]

# What a step reads of a body: written by bodies.py, or worked out from that by mj_setConst.
FIELDS = (
    *("body_pos", "body_quat", "body_ipos", "body_iquat", "body_mass", "body_inertia", "body_subtreemass"),
    *("dof_damping", "dof_frictionloss", "dof_invweight0", "opt.gravity"),
)
# MJX takes the friction of a joint that has none for a constraint without bound: such a joint would stand still.
LEAST_FRICTION_NM = 1e-12


class Bodies(NamedTuple):
    """The present bodies of N arms with J motors."""

    fields: dict[str, Any]  # arrays of JAX (N, ...) by the names of MJX's model
    source: Array  # (N, J), which command each motor obeys
    delay_s: Array  # (N, J), how late


class MjxBatch:
    """N arms, each with its own body, stepped by MJX."""

    def __init__(self, model: mujoco.MjModel, nsim: int, nthread: int = 0) -> None:
        """Build the batch; the first step compiles, which takes seconds.

        Args:
            model: The nominal arm, a motor a joint.
            nsim: Number N of arms.
            nthread: Native threads, for the constants of new bodies alone.

        Raises:
            ImportError: The extra is not installed.
        """
        self._jax, _ = _libraries()
        self._model = model
        self._host = Batch(model, nsim, nthread)
        self._state = [self._host.bind(name) for name in ("qpos", "qvel", "qacc_warmstart")]
        self._time_s, self._ctrl = self._host.bind("time"), self._host.bind("ctrl")
        self._past = np.zeros((MAX_DELAY_STEPS + 1, *self._ctrl.shape))  # commands, the newest first
        self._bodies: Bodies | None = None

    def bind(self, name: str) -> Array:
        """Return a live array over a field of the state."""
        return self._host.bind(name)

    def expand(self, name: str) -> Array:
        """Return a live array over a field of the models, (N, ...); after writing to it set_const has to follow."""
        return self._host.expand(name)

    def set_const(self, ids: Array) -> None:
        """Work out what follows from the fields that were written."""
        self._host.set_const(ids)
        self._bodies = None

    def reset(self, ids: Array, stage: int) -> None:
        """Bring arms to the model's default state, with no command on its way to their motors."""
        self._host.reset(ids, stage=stage)
        self._past[:, ids] = 0.0

    def step(self, nstep: int) -> None:
        """Advance every arm by a control step of nstep physics steps under the present commands."""
        with self._jax.enable_x64(True):  # in float32 an arm may leave its way in a joint limit (docs/mjx.md)
            if self._bodies is None:
                self._bodies = self._read_bodies()
            command = self._arriving(self._bodies, nstep * self._model.opt.timestep)
            after = _stepper(self._model)(nstep, self._bodies.fields, *self._state, command)
        for kept, values in zip(self._state, after, strict=True):
            kept[...] = values
        self._time_s += nstep * self._model.opt.timestep

    def _read_bodies(self) -> Bodies:
        """Return the bodies with their fields in JAX."""
        fields = {name: self._per_arm(name) for name in FIELDS}
        fields["dof_frictionloss"] = np.maximum(fields["dof_frictionloss"], LEAST_FRICTION_NM)
        driven, own = self._per_arm("actuator_trnid")[:, None, :, 0], self._model.actuator_trnid[:, 0, None]
        source = (driven == own).argmax(axis=-1)
        gainprm = self._per_arm("actuator_gainprm")
        fields["actuator_gainprm"] = np.take_along_axis(gainprm, source[..., None], axis=1)
        delay_s = np.take_along_axis(self._per_arm("actuator_delay"), source, axis=1)
        return Bodies({name: self._jax.device_put(values) for name, values in fields.items()}, source, delay_s)

    def _per_arm(self, name: str) -> Array:
        """Return a field of every arm's model, (N, ...)."""
        values = self._host.expanded(name)
        if values is not None:
            return values
        owner = self._model.opt if name.startswith("opt.") else self._model
        nominal = getattr(owner, name.removeprefix("opt."))
        return np.broadcast_to(nominal, (self._host.nsim, *nominal.shape))

    def _arriving(self, bodies: Bodies, dt_s: float) -> Array:
        """Note the present commands; return what reaches each motor in this control step, (N, J).

        Delays are whole control steps, less half a physics step for MuJoCo's own look-up by time (bodies.py).
        """
        self._past[1:] = self._past[:-1]
        self._past[0] = self._ctrl
        late = np.ceil(bodies.delay_s / dt_s).astype(int)
        return self._past[late, np.arange(len(late))[:, None], bodies.source]

    def get_model(self, number: int) -> mujoco.MjModel:
        """Return a copy of one arm's model."""
        return self._host.get_model(number)

    def get_data(self, number: int) -> mujoco.MjData:
        """Return a copy of one arm's state; commands on their way to the motors are not in it."""
        return self._host.get_data(number)


def _libraries() -> tuple[Any, Any]:
    """Return jax and mjx; only who asks for them needs them.

    Raises:
        ImportError: They are not installed.
    """
    try:
        import jax  # pyright: ignore[reportMissingImports]  # an extra

        with redirect_stdout(StringIO()):  # it prints that Warp, which is not used here, is not installed
            from mujoco import mjx  # pyright: ignore[reportAttributeAccessIssue]  # an extra
    except ImportError as error:
        raise ImportError("physics='mjx' needs JAX and MJX: pip install 'phasearm[mjx]'") from error
    return jax, mjx


@lru_cache(maxsize=16)
def _stepper(model: mujoco.MjModel) -> Callable[..., tuple[Any, Any, Any]]:
    """Return the compiled step of N arms.

    It takes the number of physics steps, fields of the bodies, qpos, qvel, qacc_warmstart and commands, and gives the
    next three states; each number of arms is compiled by itself. JAX takes the precision from its surroundings.
    """
    jax, mjx = _libraries()
    shared = mjx.put_model(_rubbing(model))
    blank = mjx.make_data(shared)

    def advance(nstep: Any, fields: dict[str, Any], qpos: Any, qvel: Any, warm: Any, ctrl: Any) -> tuple[Any, Any, Any]:
        arm = shared.tree_replace(fields)

        def step(_: Any, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            qpos, qvel, warm = state
            data = mjx.step(arm, blank.replace(qpos=qpos, qvel=qvel, qacc_warmstart=warm, ctrl=ctrl))
            return data.qpos, data.qvel, data.qacc_warmstart

        return jax.lax.fori_loop(0, nstep, step, (qpos, qvel, warm))

    return jax.jit(jax.vmap(advance, in_axes=(None, 0, 0, 0, 0, 0)))


def _rubbing(model: mujoco.MjModel) -> mujoco.MjModel:
    """Return a copy whose joints all rub: one that does not in this model would not in any body of MJX's."""
    copied = copy(model)
    copied.dof_frictionloss[:] = 1.0
    return copied
