"""The delta learner on simulated chips: fixed layers programmed once, a head for every task that may be written."""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pcm_backend import DEVICES, PERIPHERIES, Crossbar, CrossbarCfg, FaultCfg, deploy

from .bill import Bill
from .network import Reading

CORE = 256
"""Rows of a core."""


@dataclass(frozen=True)
class ChipCfg:
    """How the policy lies on the chip."""

    memory: str = "hermes_2"
    """Device model of every crossbar."""
    scale: str = "column"
    """What shares one factor from weight to conductance."""
    fixed_slices: int = 2
    """Pairs per weight of the fixed layers."""
    fixed_rows: int = 16
    """Rows that hold the same weight of a fixed layer, at most: as many as its core has (256), since they cost no
    further product; a layer of 64 inputs and a bias gets 3."""
    write_budget: int = 1500
    """Physical devices that a lesson may pulse: sets the rows that hold the same weight of the head, each of which is
    pulsed (measured: a lesson pulses about 1.2 conductances of each cell)."""
    head_slices: int = 2
    """Pairs per weight of the head: the second holds the error that the first left."""
    slice_ratio: float = 8.0
    """Range of the first slice over that of the second."""
    headroom: float = 1.3
    """Range of the head over the largest weight that meta-training saw after adaptation."""
    output_headroom: float = 2.0
    """Largest full scale of the converters of head and innate command over the largest output of meta-training."""
    output_doublings: int = 4
    """Doublings from the finest full scale of these converters to the largest: a light arm with strong motors needs an
    eighth of the commands of a loaded one with weak motors, and the converters' steps must suit both."""
    tanh_range: float = 3.0
    """Full scale of the converters before a tanh, at most: beyond it the tanh is flat (tanh 3 = .995)."""
    bits: int = 8
    """Resolution of the converters; 0: none."""
    read_noise: str = "each"
    """When read noise is drawn."""
    periphery: str = "ideal"
    """Preset of what errs around the arrays, in `PERIPHERIES`."""
    stuck_share: float = 0.0
    """Share of the physical devices that are stuck, half of them SET and half RESET."""
    endurance: float | None = None
    """Median pulses that a device survives; None: any number, and pulses of single devices are not counted."""
    dead_rows: int = 0
    """Rows of every layer that conduct nothing."""
    age_s: float = 3600.0
    """Age of the programmed chip when the first task begins, s."""
    lesson_interval_s: float = 2.0
    """Time from one write to the next, s: one episode."""

    def __post_init__(self) -> None:
        """Refuse what cannot be deployed, before anything is."""
        if self.memory not in (known := ["float", *sorted(DEVICES)]):
            raise ValueError(f"unknown memory {self.memory!r}; choose from {known}")
        if self.periphery not in PERIPHERIES:
            raise ValueError(f"unknown periphery {self.periphery!r}; choose from {sorted(PERIPHERIES)}")
        for name in ("age_s", "lesson_interval_s"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")
        for name in ("headroom", "output_headroom", "tanh_range"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        self.faults()
        if self.memory != "float":
            common = common_cfg(self)
            CrossbarCfg(**common, slices=self.fixed_slices)
            doubled = {"out_range": 1.0, "out_doublings": self.output_doublings}
            CrossbarCfg(**common, slices=self.head_slices, slice_ratio=self.slice_ratio, **doubled)

    def faults(self) -> FaultCfg:
        """Return what is broken on every crossbar."""
        if not 0.0 <= self.stuck_share <= 1.0:
            raise ValueError(f"stuck_share must be a share, 0 to 1, got {self.stuck_share}")
        half = self.stuck_share / 2.0
        return FaultCfg(stuck_set=half, stuck_reset=half, dead_rows=self.dead_rows, endurance=self.endurance)


class ChipSubstrate:
    """K chips, T tasks on each; every task begins on the chip as deployed and goes its own way."""

    def __init__(
        self, fixed: Any, head: Crossbar, n_chips: int, n_tasks: int, interval_s: float, programmed: Any = None
    ) -> None:
        """Hold the arrays.

        Args:
            fixed: The deployed fixed layers, K chips.
            head: The heads, K x T chips.
            n_chips: K.
            n_tasks: T.
            interval_s: Time from one write to the next, s.
            programmed: Ledger of the K chips' heads before they were copied; None: the copies' own holds everything.
        """
        self.fixed_layers, self.head_array, self._programmed = fixed, head, programmed
        self.n_chips, self.n_tasks, self._interval_s = n_chips, n_tasks, interval_s

    def fixed(self, x: Tensor) -> Reading:
        """Read the fixed layers for (K x T, steps, n_inputs): one batch a chip, since no task writes them."""
        steps = x.shape[1]
        reading = Reading(*self.fixed_layers(x.reshape(self.n_chips, self.n_tasks * steps, -1)))
        return Reading(*(part.reshape(self.n_chips * self.n_tasks, steps, -1) for part in reading))

    def head(self, features: Tensor) -> Tensor:
        """Read every task's head."""
        return self.head_array(features)

    def write(self, increment: Tensor) -> Any:
        """Write every task's head, and let the clock run until the next lesson."""
        report = self.head_array.write(increment)
        self.advance(self._interval_s, calibrate=False)
        return report

    def advance(self, seconds: float, *, calibrate: bool = True) -> None:
        """Let everything age together."""
        self.fixed_layers.advance(seconds, calibrate=calibrate)
        self.head_array.advance(seconds, calibrate=calibrate)

    def bill(self) -> Bill:
        """Return the bill so far, per chip and task."""
        bill = Bill.of(self.fixed_layers.ledger, self.n_tasks).plus(Bill.of(self.head_array.ledger))
        return bill if self._programmed is None else bill.plus(Bill.of(self._programmed, self.n_tasks))

    def digital(self, name: str, count: float) -> None:
        """Book digital operations of every arm."""
        self.head_array.ledger.digital(name, count)

    def state(self) -> dict[str, Any]:
        """Return a copy of every device's state."""
        return copy.deepcopy({"fixed": self.fixed_layers.state_dict(), "head": self.head_array.state_dict()})

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state; one of other chips changes nothing."""
        state = copy.deepcopy(state)
        self.fixed_layers.check_state(state["fixed"])
        self.head_array.check_state(state["head"])
        self.fixed_layers.load_state_dict(state["fixed"])
        self.head_array.load_state_dict(state["head"])


def common_cfg(cfg: ChipCfg) -> dict[str, Any]:
    """Return what every crossbar of a policy has in common: fields of CrossbarCfg by name."""
    return {
        "device": cfg.memory,
        "scale": cfg.scale,
        "read_noise": cfg.read_noise,
        "periphery": PERIPHERIES[cfg.periphery](),
        "dac_bits": cfg.bits,
        "adc_bits": cfg.bits,
        "in_range": 1.0,
        "faults": cfg.faults(),
    }


class Deployable(Protocol):
    """A meta-trained learner with fixed layers, among them first, second and feature, and a head that is written."""

    fixed: Any
    network: Any

    @property
    def head(self) -> Any:
        """The head's start, (J, D)."""
        ...


def deploy_learner(
    learner: Deployable, calibration: dict[str, Tensor], cfg: ChipCfg, n_chips: int, n_tasks: int, seed: int
) -> ChipSubstrate:
    """Program K chips once, age them, and give each of T tasks its own copy of the head.

    Args:
        learner: What was meta-trained.
        calibration: Inputs and the head's working range, from the checkpoint.
        cfg: How it lies on the chip.
        n_chips: K.
        n_tasks: T.
        seed: Same seed, same chips.
    """
    generator = torch.Generator().manual_seed(seed)
    common = common_cfg(cfg)
    head_cfg = CrossbarCfg(
        **common,
        w_range=tuple((cfg.headroom * calibration["head_range"]).tolist()),
        out_range=finest(calibration["head_output"], cfg),
        out_doublings=cfg.output_doublings,
        slices=cfg.head_slices,
        rows_per_weight=_head_rows(learner, cfg),
        slice_ratio=cfg.slice_ratio,
    )
    fixed = deploy(
        learner.fixed,
        n_chips=n_chips,
        generator=generator,
        calibration=calibration["inputs"],
        layers=_fixed_layers(learner, calibration["inputs"], CrossbarCfg(**common), cfg),
    )
    head = Crossbar(learner.head.detach(), head_cfg, n_chips=n_chips, generator=generator)
    substrate = ChipSubstrate(fixed, head, n_chips, 1, cfg.lesson_interval_s)
    if cfg.age_s > 0:
        substrate.advance(cfg.age_s)
    copies = head.copies(n_tasks)
    return ChipSubstrate(fixed, copies, n_chips, n_tasks, cfg.lesson_interval_s, head.ledger.snapshot())


@torch.no_grad()
def _fixed_layers(learner: Deployable, x: Tensor, common: CrossbarCfg, cfg: ChipCfg) -> dict[str, CrossbarCfg]:
    """Return how each fixed layer lies on the chip; before a tanh the converters need not see what it flattens."""
    layers = {}
    if "innate" in dict(learner.fixed.named_children()):
        innate = _spread(learner.fixed.innate, common, cfg)
        out_range = finest(learner.fixed(x).command.abs().amax(0), cfg)
        layers["innate"] = dataclasses.replace(innate, out_range=out_range, out_doublings=cfg.output_doublings)
    for name in ("first", "second", "feature"):
        y = getattr(learner.fixed, name)(x)
        full_scale = (1.1 * y.abs().amax(0)).clamp(min=0.1, max=cfg.tanh_range)
        own = _spread(getattr(learner.fixed, name), common, cfg)
        layers[name] = dataclasses.replace(own, out_range=tuple(full_scale.tolist()))
        x = torch.tanh(y)
    return layers


def _spread(layer: nn.Linear, common: CrossbarCfg, cfg: ChipCfg) -> CrossbarCfg:
    """Return how a layer lies on its core: as many rows per weight as the core has room for."""
    rows = max(1, min(cfg.fixed_rows, CORE // (layer.in_features + 1)))
    return dataclasses.replace(common, slices=cfg.fixed_slices, rows_per_weight=rows)


def finest(largest: Tensor, cfg: ChipCfg) -> tuple[float, ...]:
    """Return the finest full scale of each output line, from its largest output."""
    return tuple((cfg.output_headroom * largest.clamp(min=1e-3) / 2.0**cfg.output_doublings).tolist())


def _head_rows(learner: Deployable, cfg: ChipCfg) -> int:
    """Return the rows per weight of the head that the write budget and the core allow."""
    pulsed = 1.25 * learner.head.numel() * DEVICES[cfg.memory].n_physical
    return max(1, min(int(cfg.write_budget / pulsed), CORE // learner.network.n_features))
