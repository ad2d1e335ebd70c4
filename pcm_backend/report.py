"""What a write tells of itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from torch import Tensor

from .updates import Base, Method


@dataclass(frozen=True)
class WriteReport:
    """What one write did to each chip; every tensor has shape (K,)."""

    devices: Tensor
    """Physical devices that received at least one pulse."""
    pulses: Tensor
    """SET and RESET pulses: counted where the device is simulated at that level and where nobody verifies, else the
    means measured there."""
    saturated: Tensor
    """Cells whose target lay beyond the range and was set to its limit; of blind trains, those of the longest."""
    failed: Tensor
    """Physical devices that kept a conductance from its target, so that the verify loop gave it up."""
    energy_j: Tensor
    """Energy of pulses, verify reads and the reading that re-bases the compensation, nominal, J."""
    time_s: Tensor
    """Duration, s; the clock moves by it at the next read or advance."""
    increments: Tensor
    """Cells that an increment was written to, each row of a weight counted."""
    below_error: Tensor
    """Those of them whose increment was smaller than the error that the write made (its standard deviation, over the
    root of the rows that hold the weight), or for which a train of pulses would have been too coarse: what becomes of
    such a cell is mostly chance, so the increment is lost."""
    failed_by: dict[str, Tensor] = field(default_factory=dict)
    """The failed devices by kind: `not_converged`, the one that was trimmed in vain, where pulses are simulated (the
    fitted models contain those few in their spread); and, where faults are configured, the kinds of `faults.KINDS`."""
    method: Method = "verify"
    """How increments became pulses."""
    base: Base = "read"
    """What the increments were added to: the weights as a read found them, or a digital copy of the targets."""
    base_bytes: int = 0
    """Bytes that this copy takes for each chip."""

    def then(self, looks: Iterable[WriteReport]) -> WriteReport:
        """Return this write with its second looks: pulses, energy and time are theirs too.

        The devices are those of the write itself: a look pulses some of them once more.
        """
        looks = list(looks)
        return replace(
            self,
            **{
                name: sum((getattr(each, name) for each in looks), getattr(self, name))
                for name in ("pulses", "energy_j", "time_s")
            },
        )
