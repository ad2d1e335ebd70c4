"""The bill of a chip: products, verify and calibration reads, devices, pulses, digital work; in joules and seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from .checks import check_entries, check_kind, check_shapes
from .chip import CORE

Level = Literal["low", "nominal", "high"]
LEVELS: tuple[Level, ...] = ("low", "nominal", "high")


@dataclass(frozen=True)
class Cost:
    """One constant with its three levels and where it comes from."""

    low: float
    nominal: float
    high: float
    source: str


_PRODUCT = "Le Gallo NatElectron 2023, 10.1038/s41928-023-01010-1: 64 cores take {} uJ a product, one core 1/64 of it"
_LATENCY = "the same, {} TOPS of 64 cores: 8.39 Mop over it"
_COLUMN = "assumption: one column's share, 1/256, of a product"
PRODUCT_J = {
    1: Cost(13.4e-9, 13.4e-9, 13.4e-9, _PRODUCT.format(".86")),
    4: Cost(52.8e-9, 52.8e-9, 52.8e-9, _PRODUCT.format("3.38")),
}
"""Energy of a 256 x 256 product in one or four phases, J."""
PRODUCT_S = {
    1: Cost(133e-9, 133e-9, 133e-9, _LATENCY.format("63.1")),
    4: Cost(521e-9, 521e-9, 521e-9, _LATENCY.format("16.1")),
}
"""Duration of a 256 x 256 product in one or four phases, s."""
SET_J = Cost(
    6e-12, 10e-12, 16e-12, "derived from currents of 60 to 160 uA, 2 V, 50 ns (Joshi NatComm 2020): assumption"
)
"""Energy of a SET pulse, J."""
RESET_J = Cost(
    19e-12, 30e-12, 45e-12, "19.2 pJ (Lee ISCA 2009) to 450 uA x 2 V x 50 ns (Joshi NatComm 2020): assumption"
)
"""Energy of a RESET pulse, J."""

READS = ("products", "calibration_products", "verify_reads")
_ENERGY: dict[str, tuple[Cost, float]] = {
    "set_pulses": (SET_J, 1.0),
    "reset_pulses": (RESET_J, 1.0),
    **{f"{kind}_{phases}_phase": (PRODUCT_J[phases], 1.0) for kind in READS[:2] for phases in (1, 4)},
    **{f"verify_reads_{phases}_phase": (PRODUCT_J[phases], 1.0 / CORE) for phases in (1, 4)},
}
_SECONDS: dict[str, float] = {
    "write_s": 1.0,
    **{f"{kind}_{phases}_phase": PRODUCT_S[phases].nominal for kind in READS[:2] for phases in (1, 4)},
}
COUNTS = ("devices", "write_s", *_ENERGY)
"""What is counted: physical devices pulsed, seconds of writing, pulses, and reads by their number of phases.

A product is one of 256 x 256: a smaller layer still costs one for each core it lies on. A calibration product drives
one row; it is booked whole. A verify read is one cell through one converter.
"""


class Ledger:
    """Counts for each of K chips, float64, shape (K,); energies and times follow from them."""

    def __init__(self, n_chips: int, device: torch.device | str = "cpu") -> None:
        self.n_chips = n_chips
        self._counts = {name: torch.zeros(n_chips, dtype=torch.float64, device=device) for name in COUNTS}
        self._later: dict[str, float] = {}  # booked alike on every chip since somebody last looked
        self.digital_counts: dict[str, Tensor] = {}

    def book(self, name: str, count: Tensor | float) -> None:
        """Add to a count of every chip."""
        if name not in self._counts:
            raise ValueError(f"unknown count {name!r}; choose from {sorted(self._counts)}")
        if isinstance(count, Tensor):
            self._counts[name] += count
        else:
            self._later[name] = self._later.get(name, 0.0) + count

    @property
    def counts(self) -> dict[str, Tensor]:
        """Every count by name."""
        while self._later:
            name, count = self._later.popitem()
            self._counts[name] += count
        return self._counts

    def digital(self, name: str, count: Tensor | float) -> None:
        """Book digital operations under a name; they are counted, and no energy is claimed for them."""
        if name not in self.digital_counts:
            self.digital_counts[name] = torch.zeros_like(self.counts["devices"])
        self.digital_counts[name] += count

    @property
    def devices(self) -> Tensor:
        """Physical devices that received a pulse, once for every write that pulsed them."""
        return self.counts["devices"]

    @property
    def pulses(self) -> Tensor:
        """SET and RESET pulses."""
        return self.counts["set_pulses"] + self.counts["reset_pulses"]

    @property
    def products(self) -> Tensor:
        """Products of 256 x 256 for inference."""
        return self._phases("products")

    @property
    def calibration_products(self) -> Tensor:
        """Products of one driven row that measured compensation factors."""
        return self._phases("calibration_products")

    @property
    def verify_reads(self) -> Tensor:
        """Reads of single cells by writes."""
        return self._phases("verify_reads")

    def energy_j(self, level: Level = "nominal") -> Tensor:
        """Return the energy of everything counted, J. Shape: (K,)."""
        if level not in LEVELS:
            raise ValueError(f"unknown level {level!r}; choose from {list(LEVELS)}")
        return sum((self._energy(name, level) for name in _ENERGY), torch.zeros_like(self.devices))

    def seconds(self) -> Tensor:
        """Return the time of everything counted if it happens one after the other, s. Shape: (K,)."""
        return sum((self.counts[name] * each for name, each in _SECONDS.items()), torch.zeros_like(self.devices))

    def add_(self, other: Ledger) -> None:
        """Book everything that another bill of the same chips holds."""
        for name in COUNTS:
            self.counts[name] += other.counts[name]
        for name, count in other.digital_counts.items():
            self.digital(name, count)

    def snapshot(self) -> Ledger:
        """Return a copy, to be subtracted from a later state."""
        return self._combine(self, lambda a, _: a.clone())

    def __add__(self, other: Ledger) -> Ledger:
        """Merge with the bill of another part of the same chips."""
        return self._combine(other, torch.add)

    def __sub__(self, other: Ledger) -> Ledger:
        """Return what was booked since an earlier snapshot."""
        return self._combine(other, torch.sub)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers: per chip counts, energy and time, and the constants with their sources."""
        return {
            "chips": self.n_chips,
            "counts": {name: count.tolist() for name, count in self.counts.items()},
            "digital": {name: count.tolist() for name, count in self.digital_counts.items()},
            "energy_j": {level: self.energy_j(level).tolist() for level in LEVELS},
            "seconds": self.seconds().tolist(),
            "constants": constants(),
        }

    @classmethod
    def from_json(cls, page: Mapping[str, Any]) -> Ledger:
        """Return the ledger that `to_json` was called on, to the last count.

        Args:
            page: Its numbers; energies and times follow from the counts.
        """
        ledger = cls(int(page["chips"]))
        state = {
            kind: {name: torch.tensor(count, dtype=torch.float64) for name, count in page[kind].items()}
            for kind in ("counts", "digital")
        }
        ledger.load_state_dict(state)
        return ledger

    def state_dict(self) -> dict[str, Any]:
        """Return every count."""
        return {"counts": _cloned(self.counts), "digital": _cloned(self.digital_counts)}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not the bill of as many chips."""
        check_entries("a ledger", state, ("counts", "digital"))
        check_shapes("a ledger", state["counts"], self.counts)
        check_kind("the state of digital work", state["digital"], Mapping)
        check_shapes("digital work", state["digital"], dict.fromkeys(state["digital"], self.devices))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set every count."""
        self.check_state(state)
        self._counts, self.digital_counts = _cloned(state["counts"]), _cloned(state["digital"])
        self._later = {}

    def __repr__(self) -> str:
        """Say the means over the chips in one line."""
        means = {"products": self.products, "devices": self.devices, "pulses": self.pulses}
        listed = ", ".join(f"{each.mean():.0f} {name}" for name, each in means.items())
        return f"Ledger({self.n_chips} chips; means: {listed}, {self.energy_j().mean() * 1e6:.3g} uJ)"

    def _phases(self, kind: str) -> Tensor:
        return self.counts[f"{kind}_1_phase"] + self.counts[f"{kind}_4_phase"]

    def _energy(self, name: str, level: Level) -> Tensor:
        cost, share = _ENERGY[name]
        return self.counts[name] * (getattr(cost, level) * share)

    def _combine(self, other: Ledger, operation: Any) -> Ledger:
        if other.n_chips != self.n_chips:
            raise ValueError(f"a ledger of {self.n_chips} chips cannot be combined with one of {other.n_chips}")
        result = Ledger(self.n_chips, self.devices.device)
        result._counts = {name: operation(self.counts[name], other.counts[name]) for name in COUNTS}
        zero = torch.zeros_like(self.devices)
        result.digital_counts = {
            name: operation(self.digital_counts.get(name, zero), other.digital_counts.get(name, zero))
            for name in sorted({*self.digital_counts, *other.digital_counts})
        }
        return result


def constants() -> dict[str, dict[str, Any]]:
    """Return every constant of the bill by name, with low, nominal, high and source."""
    table = {"set_pulse_j": SET_J, "reset_pulse_j": RESET_J}
    for phases in (1, 4):
        table[f"product_{phases}_phase_j"] = PRODUCT_J[phases]
        table[f"product_{phases}_phase_s"] = PRODUCT_S[phases]
        energy = PRODUCT_J[phases]
        table[f"verify_read_{phases}_phase_j"] = Cost(
            energy.low / CORE, energy.nominal / CORE, energy.high / CORE, _COLUMN
        )
    return {name: vars(cost) for name, cost in table.items()}


def _cloned(counts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: count.clone() for name, count in counts.items()}
