"""What a policy lives on, said in one label: a device, and what differs from the usual chip.

"hermes_2", "float" (software), "hermes_2 bits=6", "hermes_2 noise=2" (factor on the programming error),
"hermes_2 age=86400" (seconds between the last write and the last episode), "hermes_2 periphery=hermes".
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pcm_backend import DEVICES, FittedDevice, register_device
from pcm_backend.fit import Fit

from .chip import ChipCfg


@dataclass(frozen=True)
class Memory:
    """A chip, and how long it rests before the last episode."""

    chip: ChipCfg
    """How a policy lies on the chip; its memory "float" is software."""
    rest_s: float = 0.0
    """Time between the last write and the last episode, s; 0: it comes at once."""

    @property
    def software(self) -> bool:
        """Whether there is no chip."""
        return self.chip.memory == "float"


def parse_memory(label: str) -> Memory:
    """Return what a label says.

    Raises:
        ValueError: It names no device, or an option that a chip has not.
    """
    name, *words = label.split() or [""]
    options = dict(_option(label, word) for word in words)
    if name == "float" and options:
        raise ValueError(f"memory {label!r}: software has no options")
    rest_s, noise = options.pop("age", 0.0), options.pop("noise", 1.0)
    if not 0.0 <= rest_s < math.inf:
        raise ValueError(f"memory {label!r}: age must be 0 or more seconds and finite, got {rest_s}")
    try:
        ChipCfg(memory=name)  # names the devices there are
        return Memory(ChipCfg(memory=noisier(name, noise), **options), rest_s)
    except ValueError as error:
        raise ValueError(f"memory {label!r}: {error}") from None


_KINDS: dict[str, type] = {
    **{"age": float, "noise": float},
    **{field.name: type(field.default) for field in dataclasses.fields(ChipCfg) if field.name != "memory"},
    "endurance": float,
}


def _option(label: str, word: str) -> tuple[str, Any]:
    """Return the name and the value of one "name=value"."""
    name, _, text = word.partition("=")
    if name not in _KINDS:
        raise ValueError(f"memory {label!r}: unknown option {name!r}; choose from {sorted(_KINDS)}")
    try:
        return name, _KINDS[name](text)
    except ValueError:
        raise ValueError(f"memory {label!r}: {name} takes a {_KINDS[name].__name__}, not {text!r}") from None


def noisier(name: str, factor: float) -> str:
    """Return the name of a device with a factor on the programming error of another; it is registered where it is new.

    Raises:
        ValueError: The factor is no factor, or the device is not one of the fitted ones.
    """
    if factor == 1.0:
        return name
    if not 0.0 <= factor < math.inf:
        raise ValueError(f"noise is a factor on the programming error, 0 or more and finite, got {factor}")
    device = DEVICES.get(name)
    if not isinstance(device, FittedDevice):
        fitted = sorted(each for each, known in DEVICES.items() if isinstance(known, FittedDevice))
        raise ValueError(f"the programming error of {name!r} has no factor; choose from {fitted}")
    own = f"{name}_noise_{factor!r}".replace(".", "p").replace("-", "m").replace("+", "")
    register_device(own, Noisier(device.fit, factor))
    return own


@dataclass(frozen=True)
class Noisier:
    """A device model with a factor on its programming error; drift and read noise stay."""

    base: Fit
    """The model."""
    factor: float
    """Factor on the standard deviation of a programmed conductance about its target."""

    @property
    def g_max_us(self) -> float:
        """Largest conductance, uS."""
        return self.base.g_max_us

    @property
    def n_physical(self) -> int:
        """Physical devices in one conductance."""
        return self.base.n_physical

    @property
    def t0_s(self) -> float:
        """Time of the first reading of the drift fit, s."""
        return self.base.t0_s

    @property
    def t_read_s(self) -> float:
        """Duration of a read in the 1/f fit, s."""
        return self.base.t_read_s

    @property
    def cut_matters(self) -> bool:
        """Whether cutting a read at zero moves its mean."""
        return self.base.cut_matters

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the standard deviation of the programmed conductance about its target, uS."""
        return self.factor * self.base.programming_sigma_us(ghat)

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the drift exponent at a target."""
        return self.base.drift_exponent(ghat)

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q, read noise over conductance before the factor of its age."""
        return self.base.read_noise(ghat)
