"""The trainee on simulated chips: its plastic weights on one core, read at every step and written once.

Ortner, Petschenig et al., Nat. Commun. 16:1243 (2025), Methods: input and recurrent weights share a 256 x 256 core; the
readout and the generator of learning signals stay in software, or go to further cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from envs.trajectories import draw_targets
from pcm_backend import DEVICES, Crossbar, CrossbarCfg, CrossbarSpiking, Ledger, WriteReport

from .eprop import Activity, EpropCfg, Plastic, Weights, increments, learning_signals, run_trainee
from .eprop_lesson import lesson
from .eprop_noise import WriteCfg
from .spiking_read import run_read
from .sums import filtered

_CALIBRATION_TARGETS, _CALIBRATION_SEED = 12, 900_001


@dataclass(frozen=True)
class TraineeChipCfg:
    """How the trainee lies on its chip, and what is written."""

    memory: str = "hermes_2"
    """Device model."""
    scale: Literal["column", "matrix", "core"] = "column"
    """What shares one factor from weight to conductance."""
    off_device: Literal["noisy", "ideal"] = "noisy"
    """What a device conducts that was programmed to zero."""
    read_noise: Literal["each", "frozen", "off"] = "each"
    """When read noise is drawn."""
    bits: int = 8
    """Resolution of the converters; 0: none."""
    headroom: float = 1.0
    """Full conductance over the largest weight that shares a factor."""
    output_headroom: float = 1.25
    """Full scale of a line's converter over its largest current in software."""
    gains: bool = True
    """Measure after programming, once, with what factor each line reads; a digital factor makes up for it."""
    generator: Literal["software", "chip"] = "software"
    """Where the readout and the generator of learning signals run."""
    age_s: float = 3600.0
    """Age of the programmed chips when the target is shown, s."""
    write: WriteCfg = field(default_factory=WriteCfg)
    """Which increments are written."""

    def __post_init__(self) -> None:
        """Refuse what no crossbar's own configuration would."""
        if self.memory not in (known := ["float", *sorted(DEVICES)]):
            raise ValueError(f"unknown memory {self.memory!r}; choose from {known}")
        if self.generator not in ("software", "chip"):
            raise ValueError(f"unknown generator {self.generator!r}; choose from ['software', 'chip']")
        if self.bits not in (0, *range(2, 17)):
            raise ValueError(f"bits must be 0 (no converters) or 2 to 16, got {self.bits}")
        if not self.output_headroom > 0.0:
            raise ValueError(f"output_headroom must be above 0, got {self.output_headroom}")
        if not 0.0 <= self.age_s < math.inf:
            raise ValueError(f"age_s must be 0 or more and finite, got {self.age_s}")
        if self.memory != "float":
            CrossbarCfg(**self.array())

    def array(self) -> dict[str, Any]:
        """Return the options that every array of the scenario shares."""
        return {
            "device": self.memory,
            "scale": self.scale,
            "off_device": self.off_device,
            "read_noise": self.read_noise,
            "dac_bits": self.bits,
            "adc_bits": self.bits,
            "headroom": self.headroom,
        }


class TraineeChips:
    """K chips, each with the trainee on one core; copies of them are what the targets go their own ways on."""

    def __init__(self, layer: CrossbarSpiking, cfg: EpropCfg, gain: Tensor) -> None:
        """Hold the programmed core.

        Args:
            layer: Input and recurrent weights.
            cfg: The networks.
            gain: Digital factor of each line. Shape: (K, N).
        """
        self.layer, self._cfg, self._gain = layer, cfg, gain

    def run(self, clock: Tensor, side_by_side: int = 1) -> Activity:
        """Run on the clock (T, 5), every chip so often side by side: (T, K x side_by_side, N), chip-major."""
        n_chips, gain = len(self._gain), self._gain.unsqueeze(1)
        ticks = clock.view(-1, 1, 1, clock.shape[-1]).expand(-1, n_chips, side_by_side, -1)

        def read(t: int, z: Tensor) -> Tensor:
            return self.layer.step(ticks[t], z).mul_(gain)

        ran = run_read(read, clock.shape[0], (n_chips, side_by_side), self._cfg.trainee)
        return Activity(*(part.flatten(1, 2) for part in ran))

    def write(self, change: Plastic) -> WriteReport:
        """Add increments (K, ...) to the weights; what is exactly zero receives nothing."""
        parts = (part.transpose(1, 2) / self._gain.unsqueeze(-1) for part in change)
        return self.layer.write(*parts)

    def copies(self, n: int) -> TraineeChips:
        """Return K x n chips in this state, chip-major, each with its own future."""
        return TraineeChips(self.layer.copies(n), self._cfg, self._gain.repeat_interleave(n, 0))

    def weights(self) -> Plastic:
        """Return what the network sees: the weights as they stand now times the gains. (K, ...), rows to columns."""
        w_in, w_rec = (w.transpose(1, 2) * self._gain.unsqueeze(1) for w in self.layer.weights())
        return Plastic(w_in, w_rec)


def deploy_trainee(weights: Weights, cfg: EpropCfg, chip: TraineeChipCfg, n_chips: int, seed: int) -> TraineeChips:
    """Program K chips once, let them age, and measure the gains of their lines."""
    full_scale = _full_scale(cfg.clock_gain, chip.bits)
    largest = largest_currents(weights, cfg)
    crossbar = CrossbarCfg(
        **chip.array(), in_range=full_scale, out_range=tuple((chip.output_headroom * largest).tolist())
    )
    generator = torch.Generator().manual_seed(seed)
    w_in, w_rec = weights.W_in.T.contiguous(), weights.W_rec.T.contiguous()
    layer = CrossbarSpiking.program(
        w_in, w_rec, crossbar, n_chips=n_chips, generator=generator, input_level=cfg.clock_gain
    )
    if chip.age_s > 0.0:
        layer.advance(chip.age_s)
    wanted = torch.cat([w_in, w_rec], 1)
    gain = measured_gains(layer.crossbar, wanted) if chip.gains else torch.ones(n_chips, len(wanted))
    return TraineeChips(layer, cfg, gain)


def _full_scale(clock_gain: float, bits: int) -> float:
    """Return the input at full scale for neurons at 1 and a clock at its gain: if it can be, both are whole steps."""
    full_scale = max(clock_gain, 1.0)
    n_steps = 2 ** (bits - 1) - 1 if bits else 0
    return n_steps / math.floor(n_steps / full_scale) if n_steps > full_scale else full_scale


@torch.no_grad()
def largest_currents(weights: Weights, cfg: EpropCfg) -> Tensor:
    """Return the largest current of every line in software, before and after learning some targets. Shape: (N,)."""
    task = lesson(draw_targets(_CALIBRATION_TARGETS, _CALIBRATION_SEED), cfg.coding, weights.W_in)
    held = Plastic(weights.W_in.unsqueeze(0), weights.W_rec.unsqueeze(0))
    first = run_trainee(held, task.clock, cfg)
    step = increments(first, learning_signals(weights, task.clock, task.code, cfg)[0], task.clock, cfg)
    new = Plastic(held.w_in + step.w_in, held.w_rec + step.w_rec)
    second = run_trainee(new, task.clock, cfg)
    largest = torch.maximum(_largest(first, held, task.clock, cfg), _largest(second, new, task.clock, cfg))
    return largest.clamp(min=1e-3 * max(float(largest.amax()), 1e-3))  # a line that nothing drives has a range too


def _largest(ran: Activity, held: Plastic, clock: Tensor, cfg: EpropCfg) -> Tensor:
    late = torch.cat([torch.zeros_like(ran.spikes[:1]), ran.spikes[:-1]]).transpose(0, 1)  # (G, T, N)
    current = torch.bmm(late, held.w_rec) + cfg.clock_gain * clock @ held.w_in
    return current.abs().amax((0, 1))


@torch.no_grad()
def measured_gains(crossbar: Crossbar, wanted: Tensor, n_reads: int = 4) -> Tensor:
    """Return the factor of each line that fits its reads, one row at a time, best to the wanted weights. Shape: (K, N).

    Args:
        crossbar: What is read; the reads are booked.
        wanted: The weights that were meant. Shape: (N, in).
        n_reads: Reads of every row that are averaged.
    """
    full_scale = crossbar.cfg.in_range or 1.0
    one_hot = torch.eye(wanted.shape[1]).expand(crossbar.n_chips, -1, -1)
    seen = sum((crossbar.spikes(one_hot) for _ in range(n_reads)), torch.zeros(())) / (n_reads * full_scale)
    seen = seen.transpose(1, 2)  # (K, N, in)
    return (seen * wanted).sum(-1) / seen.square().sum(-1)


class _Part(NamedTuple):
    """An array of the generator, and the digital gains of its lines."""

    crossbar: Crossbar
    gain: Tensor
    """(K, 1, out)"""

    @classmethod
    def program(cls, wanted: Tensor, chip: TraineeChipCfg, n_chips: int, generator: torch.Generator) -> _Part:
        """Program K chips, let them age, and measure gains where they are asked for."""
        crossbar = Crossbar(wanted, CrossbarCfg(**chip.array(), in_range=1.0), n_chips=n_chips, generator=generator)
        if chip.age_s > 0.0:
            crossbar.advance(chip.age_s)
        gain = measured_gains(crossbar, wanted) if chip.gains else torch.ones(n_chips, len(wanted))
        return cls(crossbar, gain.unsqueeze(1))

    def __call__(self, x: Tensor) -> Tensor:
        return self.crossbar(x) * self.gain


class GeneratorChips:
    """The readout and the generator of learning signals on further cores of K chips."""

    def __init__(self, weights: Weights, cfg: EpropCfg, chip: TraineeChipCfg, n_chips: int, seed: int) -> None:
        """Program them, and let them age."""
        generator = torch.Generator().manual_seed(seed)
        recurrent = torch.cat([weights.W_in_lsg, weights.W_rec_lsg])
        self._cfg = cfg
        self._recurrent, self._signals, self._readout = (
            _Part.program(w.T.contiguous(), chip, n_chips, generator)
            for w in (recurrent, weights.W_out_lsg, weights.W_out)
        )

    @property
    def ledgers(self) -> list[Ledger]:
        """What each of the arrays has spent."""
        return [part.crossbar.ledger for part in (self._recurrent, self._signals, self._readout)]

    @torch.no_grad()
    def signals(self, clock: Tensor, code: Tensor) -> Tensor:
        """Return the learning signals (T, K x B, N), chip-major, for coded targets (T, B, 48)."""
        n_chips, n_targets = self._recurrent.crossbar.n_chips, code.shape[1]
        seen = torch.cat([clock.unsqueeze(1).expand(-1, n_targets, -1), code], -1)
        seen = seen.unsqueeze(1).expand(-1, n_chips, -1, -1)

        def read(t: int, z: Tensor) -> Tensor:
            return self._recurrent(torch.cat([seen[t], z], -1))

        spikes = run_read(read, len(clock), (n_chips, n_targets), self._cfg.lsg)[0]
        return self._through(self._signals, spikes).flatten(1, 2)

    @torch.no_grad()
    def velocities(self, spikes: Tensor) -> Tensor:
        """Return joint velocities (T, K x B, 2), rad/s, from the trainee's spikes (T, K x B, N)."""
        spikes = spikes.unflatten(1, (self._readout.crossbar.n_chips, -1))
        return self._through(self._readout, spikes).flatten(1, 2)

    def _through(self, part: _Part, spikes: Tensor) -> Tensor:
        """Return the leaky sum of the products of all steps. Shape: (T, K, B, in) to (T, K, B, out)."""
        n_steps = spikes.shape[0]
        rows = spikes.transpose(0, 1).flatten(1, 2)
        out = part(rows).unflatten(1, (n_steps, -1)).transpose(0, 1)
        return filtered(out.contiguous(), self._cfg.readout_decay)
