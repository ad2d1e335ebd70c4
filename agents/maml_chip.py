"""The few-shot classifier on simulated chips: convolutions programmed once, a readout programmed again by each step."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pcm_backend import DEVICES, PERIPHERIES, Crossbar, CrossbarCfg, LooksCfg, UpdateCfg, deploy
from pcm_backend.chip import CORE

from .bill import Bill
from .convnet import as_module, features
from .maml import MamlLearner, adapt, increment_from, labels, to_pictures
from .maml_features import Features

DEVICES_PER_CELL = 4  # two of each polarity (Khaddam-Aljameh et al., JSSC 2022); all are counted, as the reference does
LOOK_ABOVE = 0.8  # standard deviations; two looks leave least between .7 and 1
MARGIN = 1.1  # full scale of the readout's converters over the largest value of the calibration


@dataclass(frozen=True)
class MamlChipCfg:
    """How the classifier lies on the chip: the floor plan of Ortner et al. 2025, a kernel of 504 rows on two cores."""

    memory: str = "hermes_2"
    """Device model of every crossbar."""
    scale: str = "column"
    """What shares one factor from weight to conductance."""
    bits: int = 8
    """Resolution of the converters; 0: none."""
    programming: str = "verify"
    """How kernels are programmed: `verify`, cell by cell; `gdp`, then by gradient descent on the error of products."""
    looks: int = 2
    """Second looks after every programming, of kernels and of each step: cells that came out badly are programmed again
    (`pcm_backend/looks.py`). Of what a single try errs (mean square) two looks leave two fifths."""
    first_rows: int = 1
    """Rows of a core that hold each weight of the first kernel: its 9 rows leave room for up to 28 below one another,
    on the same two cores."""
    base: str = "target"
    """What a step is added to: `target`, the weight that the host remembers to have asked for, as the reference
    re-programs; `read`, the weight that a read finds."""
    readout_headroom: float = 0.7
    """Range of the readout over what 19 of 20 of its weights stay below after adaptation in software. A small range
    cuts some weights and errs less in all others, and the next step makes up for cuts: .7 lost 1.4 points less than 2
    (20 ways, 5 shots), and .4 no less."""
    output_doublings: int = 3
    """Doublings from the finest full scale of the readout's converters to the largest: logits grow with the steps."""
    read_noise: str = "each"
    """When read noise is drawn."""
    periphery: str = "ideal"
    """Preset of what errs around the arrays, in `PERIPHERIES`."""
    age_s: float = 3600.0
    """Age of the programmed chip when the first task begins, s."""
    step_interval_s: float = 1.0
    """Time from one step to the next, s."""

    def __post_init__(self) -> None:
        """Refuse what no crossbar's own configuration would."""
        if self.memory not in (known := ["float", *sorted(DEVICES)]):
            raise ValueError(f"unknown memory {self.memory!r}; choose from {known}")
        if self.periphery not in PERIPHERIES:
            raise ValueError(f"unknown periphery {self.periphery!r}; choose from {sorted(PERIPHERIES)}")
        if self.programming not in ("verify", "gdp"):
            raise ValueError(f"unknown programming {self.programming!r}; choose from ['gdp', 'verify']")
        if self.base not in ("read", "target"):
            raise ValueError(f"unknown base {self.base!r}; choose from ['read', 'target']")
        if not 0 <= self.looks <= 100:
            raise ValueError(f"looks must be 0 to 100, got {self.looks}")
        if not 1 <= self.first_rows <= CORE // 9:
            raise ValueError(f"first_rows must be 1 to {CORE // 9}, got {self.first_rows}")
        for name in ("age_s", "step_interval_s"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")

    def crossbar(self, first: str = "verify", base: str = "read", **more: Any) -> CrossbarCfg:
        """Return the configuration of a crossbar that is programmed first in one way, and written from one base on."""
        looks = LooksCfg(self.looks, LOOK_ABOVE)
        return CrossbarCfg(
            device=self.memory,
            updates=UpdateCfg(first=first, base=base, looks=looks),  # pyright: ignore[reportArgumentType]
            scale=self.scale,  # pyright: ignore[reportArgumentType]
            read_noise=self.read_noise,  # pyright: ignore[reportArgumentType]
            periphery=PERIPHERIES[self.periphery](),
            dac_bits=self.bits,
            adc_bits=self.bits,
            **more,
        )


class Chips(NamedTuple):
    """K chips as deployed."""

    features: Features
    """What every task shares."""
    readout: Crossbar
    """What every task begins with; tasks adapt copies of it."""
    cfg: MamlChipCfg
    """How they were deployed."""

    @property
    def devices(self) -> int:
        """Devices of one chip, four a cell."""
        crossbars = [*self.features.deployed.crossbars.values(), self.readout]
        return DEVICES_PER_CELL * sum(math.prod(each.array_size) for each in crossbars)

    @property
    def devices_rewritten(self) -> int:
        """Devices of the cells that a step programs again, four a cell, whether or not one receives a pulse."""
        return DEVICES_PER_CELL * self.readout.out_features * self.readout.in_features


class Ranges(NamedTuple):
    """Working range of the readout."""

    inputs: float
    """Largest input."""
    weights: float
    """What |weight| mostly stays below."""
    outputs: float
    """Largest |logit|."""


@torch.no_grad()
def readout_ranges(learner: MamlLearner, pictures: Tensor, start: Tensor, weights: float | None) -> Ranges:
    """Return ranges from calibration pictures alone: in software, tasks in which every picture is a character.

    Args:
        learner: With settled running statistics.
        pictures: (n, channels, 28, 28), at least as many as there are ways.
        start: Readout before any step, (N, n_inputs).
        weights: The range of weights where it is known.
    """
    net, ways = learner.net, len(start)
    inputs = features(pictures, list(net.kernel), net.cfg, net.statistics())[0]
    tasks = inputs[: len(inputs) // ways * ways].unflatten(0, (-1, ways))
    readouts = adapt(start.expand(len(tasks), -1, -1), tasks, labels(ways, 1), learner.rates)
    logits = tasks @ readouts[-1].transpose(-1, -2)
    weights = float(torch.quantile(readouts[-1].abs(), 0.95)) if weights is None else weights
    return Ranges(float(inputs.abs().max()), weights, float(logits.abs().max()))


def deploy_classifier(
    learner: MamlLearner,
    start: Tensor,
    pictures: Tensor,
    cfg: MamlChipCfg,
    n_chips: int,
    seed: int,
    readout_range: float | None = None,
) -> Chips:
    """Program K chips once and let them age; batch norm then settles at what they put out.

    Args:
        learner: What was meta-trained.
        start: Readout before any step, (N, n_inputs).
        pictures: Calibration, uint8 (n, 28, 28), of training characters.
        cfg: How it lies on the chip.
        n_chips: K.
        seed: Same seed, same chips.
        readout_range: What |weight| of adapted readouts mostly stays below; None: from the pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    shown = to_pictures(pictures)
    module: nn.Module = as_module(learner.net)
    kernels = cfg.crossbar(first=cfg.programming)
    own = {"0": dataclasses.replace(kernels, rows_per_weight=cfg.first_rows)}  # the first layer of `as_module`
    deployed = deploy(module, kernels, n_chips=n_chips, generator=generator, calibration=shown, layers=own)
    ranges = readout_ranges(learner, shown, start, readout_range)
    readout_cfg = cfg.crossbar(
        base=cfg.base,
        in_range=MARGIN * ranges.inputs,
        w_range=cfg.readout_headroom * ranges.weights,
        out_range=MARGIN * ranges.outputs / 2.0**cfg.output_doublings,
        out_doublings=cfg.output_doublings if cfg.bits else 0,
    )
    readout = Crossbar(start, readout_cfg, n_chips=n_chips, generator=generator)
    for each in (deployed, readout):
        each.advance(cfg.age_s)
    parts = Features(deployed, learner.net.cfg)
    parts.settle(turned(shown), learner.net)
    return Chips(parts, readout, cfg)


def turned(pictures: Tensor) -> Tensor:
    """Return pictures (n, channels, H, W) turned by 0, 90, 180 and 270 degrees, as meta-training shows them.

    Four times as many make the statistics surer: with 128 alone a single shot lost .2 points.
    """
    return torch.cat([pictures.rot90(quarter, (2, 3)) for quarter in range(4)])


class Lessons(NamedTuple):
    """What the inner loop did to K x T readouts."""

    logits: Tensor
    """Answers before any step and after each, (steps + 1, K x T, questions, N)."""
    increments: Tensor
    """What each step asked to be added, (steps, K x T, N, n_inputs)."""
    pulsed: Tensor
    """Physical devices that received a pulse, (steps, K x T)."""
    saturated: Tensor
    """Cells whose weight lay beyond the range, (steps, K x T)."""
    bill: Bill
    """Of the steps: reads of the support drawings' features by the readout, and writes; the questions' reads are not
    in it."""


@torch.no_grad()
def adapt_on_chip(readout: Crossbar, known: Tensor, asked: Tensor, rates: Tensor, cfg: MamlChipCfg) -> Lessons:
    """Take every step of the inner loop on the chip; what the readout says is read there, what is added is digital.

    Args:
        readout: K x T chips, which are changed.
        known: Inputs for the support drawings, (K x T, N x K', n_inputs), character by character.
        asked: Inputs for the questions, (K x T, questions, n_inputs).
        rates: One a step.
        cfg: How steps are written.
    """
    ways = readout.out_features
    label = labels(ways, known.shape[1] // ways, known.device)
    logits, increments, reports, bill = [readout(asked)], [], [], Bill.nothing(readout.n_chips)
    for rate in rates:
        before = Bill.of(readout.ledger)
        increments.append(increment_from(readout(known), known, label, rate))
        reports.append(readout.write(increments[-1], base=cfg.base))  # pyright: ignore[reportArgumentType]
        bill = bill.plus(Bill.of(readout.ledger).minus(before))
        readout.advance(cfg.step_interval_s, calibrate=False)
        logits.append(readout(asked))
    pulsed, saturated = (torch.stack([getattr(each, name) for each in reports]) for name in ("devices", "saturated"))
    return Lessons(torch.stack(logits), torch.stack(increments), pulsed, saturated, bill)
