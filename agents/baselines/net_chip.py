"""What the layers of a tanh network lie on: software, or crossbars that the tasks of a chip share or own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pcm_backend import Crossbar, CrossbarCfg

from ..bill import Bill
from ..chip import CORE, ChipCfg, common_cfg, finest
from .tanh_net import Pass, forward


class Written(NamedTuple):
    """What writing every layer did to each arm's chip; every tensor (N,)."""

    devices: Tensor
    failed: Tensor
    saturated: Tensor
    energy_j: Tensor

    @classmethod
    def total(cls, reports: Sequence[Any]) -> Written | None:
        """Return the sums over reports of writes; None if nothing was written to devices."""
        real = [report for report in reports if report is not None]
        if not real:
            return None
        return cls(*(torch.stack([getattr(r, name) for r in real]).sum(dim=0) for name in cls._fields))


class NetSubstrate(Protocol):
    """What the layers lie on. Arms are chip-major: the tasks of chip 0 first, then those of chip 1."""

    def read(self, x: Tensor) -> Pass:
        """Read the network for inputs (N, T, n)."""
        ...

    def write(self, steps: Sequence[Tensor]) -> Written | None:
        """Add to each layer's table, (N, out, in + 1); returns what that took."""
        ...

    def rest(self) -> None:
        """Let the time from one lesson to the next pass."""
        ...

    def bill(self) -> Bill:
        """Return the bill so far, per arm."""
        ...


class SoftwareNet:
    """Float tables: one set for all arms until a write gives each its own."""

    def __init__(self, tables: Sequence[Tensor], n_arms: int) -> None:
        self.tables, self._n_arms = [table.detach().clone() for table in tables], n_arms

    def read(self, x: Tensor) -> Pass:
        """Read exactly."""
        return forward(self.tables, x)

    def write(self, steps: Sequence[Tensor]) -> None:
        """Add exactly."""
        self.tables = [table + step for table, step in zip(self.tables, steps, strict=True)]

    def rest(self) -> None:
        """Nothing ages."""

    def bill(self) -> Bill:
        """Return zeros: software is not billed."""
        return Bill.nothing(self._n_arms)


class ChipNet:
    """K chips, T tasks on each, a crossbar for every layer."""

    def __init__(self, layers: Sequence[Crossbar], n_chips: int, n_tasks: int, interval_s: float, own: bool) -> None:
        """Hold the arrays.

        Args:
            layers: A crossbar a layer, its last row the bias: of K chips, or of K x T where tasks own their layers.
            n_chips: K.
            n_tasks: T.
            interval_s: Time from one lesson to the next, s.
            own: Whether every task has layers of its own, which may be written.
        """
        self.layers, self.n_chips, self.n_tasks = list(layers), n_chips, n_tasks
        self._interval_s, self._own = interval_s, own

    def read(self, x: Tensor) -> Pass:
        """Read the layers one after the other; tanh and the constant input are digital."""
        n_arms, n_steps = x.shape[:2]
        shape = x.shape[:2] if self._own else (self.n_chips, self.n_tasks * n_steps)
        inputs: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            x = torch.tanh(x) if index else x
            inputs.append(torch.cat([x, torch.ones_like(x[..., :1])], dim=-1))
            x = layer(inputs[-1].reshape(*shape, -1)).reshape(n_arms, n_steps, -1)
        return Pass(inputs, x)

    def write(self, steps: Sequence[Tensor]) -> Written | None:
        """Write every layer of every task.

        Raises:
            ValueError: The tasks of a chip share its layers.
        """
        if not self._own:
            raise ValueError("the tasks of a chip share its layers: build the substrate with own=True to write them")
        return Written.total([layer.write(step) for layer, step in zip(self.layers, steps, strict=True)])

    def rest(self) -> None:
        """Let the clock run until the next lesson."""
        self.advance(self._interval_s, calibrate=False)

    def advance(self, seconds: float, *, calibrate: bool = True) -> None:
        """Let everything age together."""
        for layer in self.layers:
            layer.advance(seconds, calibrate=calibrate)

    def bill(self) -> Bill:
        """Return the bill so far, per chip and task; of owned layers what was spent since they were deployed."""
        n_sharing = 1 if self._own else self.n_tasks
        first, *others = (Bill.of(layer.ledger, n_sharing) for layer in self.layers)
        for other in others:
            first = first.plus(other)
        return first


def deploy_net(
    tables: Sequence[Tensor],
    calibration: dict[str, Tensor],
    cfg: ChipCfg,
    n_chips: int,
    n_tasks: int,
    seed: int,
    *,
    own: bool,
) -> ChipNet:
    """Program K chips once and age them; where tasks own their layers, give each of T its own copies.

    Args:
        tables: The layers, (out, in + 1), the bias the last column.
        calibration: Encoded inputs; for layers that are written also the ranges that adapted weights and sums reach.
        cfg: How they lie on the chip. Layers that are written take one row a weight, since every row is pulsed.
        n_chips: K.
        n_tasks: T.
        seed: Same seed, same chips.
        own: Whether every task has layers of its own.
    """
    generator = torch.Generator().manual_seed(seed)
    tables = [table.detach() for table in tables]
    layouts = _layouts(tables, calibration, cfg, own)
    layers = [
        Crossbar(t, layout, n_chips=n_chips, generator=generator) for t, layout in zip(tables, layouts, strict=True)
    ]
    chip = ChipNet(layers, n_chips, 1, cfg.lesson_interval_s, own)
    if cfg.age_s > 0:
        chip.advance(cfg.age_s)
    if own:
        layers = [layer.copies(n_tasks) for layer in layers]
    return ChipNet(layers, n_chips, n_tasks, cfg.lesson_interval_s, own)


def _layouts(tables: Sequence[Tensor], calibration: dict[str, Tensor], cfg: ChipCfg, own: bool) -> list[CrossbarCfg]:
    """Return how each layer lies on its core; before a tanh the converters need not see what it flattens."""
    common, found = CrossbarCfg(**common_cfg(cfg)), []
    passed = forward(tables, calibration["inputs"])
    for index, (table, given) in enumerate(zip(tables, passed.inputs, strict=True)):
        largest = calibration[f"sums.{index}"] if own else (given @ table.mT).abs().amax(0)
        rows = 1 if own else max(1, min(cfg.fixed_rows, CORE // table.shape[-1]))
        layout = dataclasses.replace(common, slices=cfg.head_slices if own else cfg.fixed_slices, rows_per_weight=rows)
        if own:
            ranges = cfg.headroom * calibration[f"weights.{index}"].clamp(min=1e-3)
            layout = dataclasses.replace(layout, w_range=tuple(ranges.tolist()), slice_ratio=cfg.slice_ratio)
        if index < len(tables) - 1:
            scale = tuple((1.1 * largest).clamp(min=0.1, max=cfg.tanh_range).tolist())
            found.append(dataclasses.replace(layout, out_range=scale))
        else:
            scale = finest(largest, cfg)
            found.append(dataclasses.replace(layout, out_range=scale, out_doublings=cfg.output_doublings))
    return found
