"""Measure how much of a written increment survives on the chip, and how exact first programming is.

python -m launch.increments                                a new folder under runs/
python -m launch.increments --page docs/increments.md      also the page of the docs
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import tyro
from torch import Tensor

from agents.checkpoint import write_whole
from launch import cli
from pcm_backend import DEVICES, Crossbar, CrossbarCfg, UpdateCfg
from pcm_backend.updates import First, Method

DAY_S = 86400.0


@dataclass(frozen=True)
class Increments:
    """Normal weights on the chip, a day of rest, normal increments for a share of the cells, a month of rest."""

    memory: str = "hermes_2"
    """Device model, a name in `DEVICES`."""
    methods: tuple[Method, ...] = ("verify", "stochastic", "mixed", "set_only", "blind")
    """Ways to turn an increment into pulses."""
    firsts: tuple[First, ...] = ("verify", "max_set_fill", "gdp")
    """Ways to program for the first time."""
    size: int = 128
    """Rows and lines of the matrix."""
    chips: int = 8
    """Chips."""
    ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.25)
    """Standard deviations of the increments over that of the weights."""
    share: float = 0.2
    """Part of the cells that is written."""
    headroom: float = 1.0
    """Range over the largest weight of a line."""
    rest_days: float = 30.0
    """Rest after the write, days; the compensation factors are measured at its end."""
    seed: int = 0
    """Of weights, increments and chips."""
    page: Path | None = None
    """File to write the page to besides the folder."""
    out: Path | None = None
    """Folder for metrics.json and increments.md; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if self.memory not in DEVICES:
            raise ValueError(f"unknown --memory {self.memory!r}; choose from {sorted(DEVICES)}")
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"--share must lie between 0 and 1, got {self.share}")
        if self.size < 2 or self.chips < 1:
            raise ValueError(f"--size must be at least 2 and --chips at least 1, got {self.size} and {self.chips}")
        if not self.ratios or not min(self.ratios) > 0:
            raise ValueError(f"--ratios must be positive, got {self.ratios}")


class Outcome(NamedTuple):
    """What became of increments of one size, written in one way."""

    ratio: float
    """Standard deviation of the increments over that of the weights."""
    correlation: float
    """Of increments with changes, right after the write."""
    slope: float
    """Of changes over increments, by least squares."""
    rested_correlation: float
    """The same after the rest."""
    rested_slope: float
    """The same after the rest."""
    below_error: float
    """Share of the increments that the report of the write counts as lost."""
    devices: float
    """Physical devices that were pulsed, over all."""
    pulses: float
    """Pulses for each increment."""
    moved: float
    """Largest change of a cell that was not written, at the write."""


def measure(cfg: Increments, method: Method, ratio: float) -> Outcome:
    """Write increments of one size in one way and follow them."""
    generator = torch.Generator().manual_seed(cfg.seed)
    weights = torch.randn(cfg.size, cfg.size, generator=generator)
    chip = CrossbarCfg(device=cfg.memory, headroom=cfg.headroom, updates=UpdateCfg(method=method))
    xbar = Crossbar(weights, chip, n_chips=cfg.chips, generator=generator)
    xbar.advance(DAY_S)
    before = xbar.weights()
    chosen = torch.rand(before.shape, generator=generator) < cfg.share
    delta = torch.randn(before.shape, generator=generator) * ratio * chosen
    report = xbar.write(delta)
    change = xbar.weights() - before
    xbar.advance(cfg.rest_days * DAY_S)
    rested = xbar.weights() - before
    everything = xbar.conductances_us()[0].numel() * DEVICES[cfg.memory].n_physical
    return Outcome(
        ratio,
        *survival(delta[chosen], change[chosen]),
        *survival(delta[chosen], rested[chosen]),
        float((report.below_error / report.increments).mean()),
        float(report.devices.mean() / everything),
        float((report.pulses / report.increments).mean()),
        float(change[~chosen].abs().max()),
    )


def survival(delta: Tensor, change: Tensor) -> tuple[float, float]:
    """Return the correlation of increments with changes, and the slope of changes over increments."""
    correlation = torch.corrcoef(torch.stack([delta, change]))[0, 1]
    return float(correlation), float((delta * change).sum() / delta.square().sum())


class Programmed(NamedTuple):
    """What first programming made of the weights."""

    slices: int
    error: float
    """Standard deviation of the error right afterwards, over that of the weights."""
    error_after_a_day: float
    """The same after a day, compensated."""
    products: float
    """Products for each chip that it took."""
    devices: float
    """Physical devices pulsed, each time counted, over all."""


def programmed(cfg: Increments, first: First, slices: int) -> Programmed:
    """Program weights in one way and hold them against what was wanted."""
    generator = torch.Generator().manual_seed(cfg.seed)
    weights = torch.randn(cfg.size, cfg.size, generator=generator)
    chip = CrossbarCfg(device=cfg.memory, headroom=cfg.headroom, slices=slices, updates=UpdateCfg(first=first))
    xbar = Crossbar(weights, chip, n_chips=cfg.chips, generator=generator)
    error, everything = xbar.weights() - weights, xbar.conductances_us()[0].numel() * DEVICES[cfg.memory].n_physical
    spent = xbar.ledger.snapshot()
    xbar.advance(DAY_S)
    later = xbar.weights() - weights
    products, devices = float(spent.products.mean()), float(spent.devices.mean()) / everything
    return Programmed(slices, float(error.std()), float(later.std()), products, devices)


def run(cfg: Increments) -> Path:
    """Measure, print the page, write the folder; return it."""
    with cli.wrong_input():
        folder = cli.run_folder(cfg.out, "increments")
        chips = [CrossbarCfg(device=cfg.memory, updates=UpdateCfg(first=first)) for first in cfg.firsts]
    bar = cli.progress(len(cfg.ratios) * len(cfg.methods) + 2 * len(chips), "increments")
    written: dict[str, list[Outcome]] = {method: [] for method in cfg.methods}
    for method in cfg.methods:
        for ratio in cfg.ratios:
            written[method].append(measure(cfg, method, ratio))
            cli.tick(bar, f"{method}, {ratio}")
    first: dict[str, list[Programmed]] = {name: [] for name in cfg.firsts}
    for name in cfg.firsts:
        for slices in (1, 2):
            first[name].append(programmed(cfg, name, slices))
            cli.tick(bar, name)
    bar.close()
    text = page(cfg, written, first)
    metrics = {
        "command": cli.command_line(),
        "config": {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(cfg).items()},
        "increments": {method: [each._asdict() for each in rows] for method, rows in written.items()},
        "first_programming": {name: [each._asdict() for each in rows] for name, rows in first.items()},
    }
    cli.write_json(folder / "metrics.json", metrics)
    for path in (folder / "increments.md", *([cfg.page] if cfg.page else [])):
        write_whole(path, text.encode())
    print(text)
    print(folder)
    return folder


def page(cfg: Increments, written: dict[str, list[Outcome]], first: dict[str, list[Programmed]]) -> str:
    """Return the page, in Markdown."""
    parts = [PREFACE.format(**vars(cfg), command=cli.command_line())]
    for method, outcomes in written.items():
        head = f"sd | correlation | slope | after {cfg.rest_days:g} days | slope | lost | devices | pulses"
        rows = [
            f"| {each.ratio:g} | {each.correlation:.3f} | {each.slope:.2f} | {each.rested_correlation:.3f} "
            f"| {each.rested_slope:.2f} | {each.below_error:.0%} | {each.devices:.1%} | {each.pulses:.1f} |"
            for each in outcomes
        ]
        parts += [f"## `{method}`", "", f"| {head} |", "|---" * 8 + "|", *rows, ""]
    moved = max(each.moved for outcomes in written.values() for each in outcomes)
    parts += [f"Largest change of any cell that was not written, at the write: {moved:g}.", "", FIRST]
    for name, rows in first.items():
        parts += [
            f"| `{name}` | {each.slices} | {each.error:.4f} | {each.error_after_a_day:.4f} | {each.products:.0f} "
            f"| {each.devices:.2f} |"
            for each in rows
        ]
    return "\n".join([*parts, ""])


PREFACE = """# What is left of a lesson

A matrix of {size} x {size} normal weights on {chips} chips of `{memory}`, a day of rest, normal increments for
{share:.0%} of the cells, {rest_days:g} days of rest, compensation factors measured again. `sd` is the standard
deviation of the increments over that of the weights; correlation and slope are those of the change of a weight over its
increment. `lost` is the share of the written increments that are smaller than the error of their own write, as its
report says (`WriteReport.below_error` over `WriteReport.increments`): what they change is mostly chance, so they do not
survive. `devices` is the share of all physical devices that were pulsed, `pulses` those of each written increment.

    {command}
"""

FIRST = """## First programming

Errors are standard deviations over that of the weights; `devices` counts every time that a device was pulsed, over all.

| first programming | slices | error | after a day | products | devices |
|---|---|---|---|---|---|"""


if __name__ == "__main__":
    with cli.wrong_input():
        wanted: Any = tyro.cli(Increments, prog="python -m launch.increments", description=__doc__)
    run(wanted)
