"""The part of mujoco.rollout that this project uses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import MjData, MjModel

def rollout(
    model: MjModel, data: Sequence[MjData], initial_state: NDArray[np.float64], control: NDArray[np.float64]
) -> tuple[Any, Any]: ...
