"""Measure what each error of a read adds to a product, and what is left of it with each compensation of drift.

python -m launch.read_errors
"""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import torch
import tyro
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from agents.checkpoint import write_whole
from launch import cli
from launch.plots import GRID, INK, LOOK, STYLES
from pcm_backend import Crossbar, CrossbarCfg, PeripheryCfg

AGES = {"1 hour": 3600.0, "1 day": 86400.0, "1 year": 365 * 86400.0}
HERMES = PeripheryCfg.hermes()
BARE: dict[str, Any] = {"dac_bits": 0, "adc_bits": 0}
Case = dict[str, Any]


@dataclass(frozen=True)
class ReadErrors:
    """Products of random matrices and random inputs on chips, with one error at a time and with all of them."""

    device: str = "hermes_2"
    """Device model of the cells."""
    size: int = 256
    """Rows and output lines of the matrices."""
    chips: int = 8
    """Chips, each with converters and a matrix of its own."""
    batch: int = 512
    """Inputs, uniform from -1 to 1; as many others set the converters' range."""
    age_s: float = 3600.0
    """Age of the chips, calibrated again at its end, s."""
    seed: int = 0
    """Seed of matrices, inputs and chips."""
    out: Path | None = None
    """Folder for metrics.json and the figure; default: a new one under runs/."""


class Errors(NamedTuple):
    """Error of a product over many inputs, lines and chips."""

    of_output: float
    """Root mean square over that of the product."""
    over_chips: float
    """Standard deviation of that from chip to chip."""
    of_full_scale: float
    """Root mean square over the full scale of the converters."""
    after_slope: float
    """Over that of the product, once every line's best factor is taken out."""


def cases(device: str) -> dict[str, Case]:
    """Return each error by itself, on ideal cells unless it is theirs, then all together."""
    alone: dict[str, Case] = {
        "converters of 8 bits": {},
        "converters of 8 bits, each phase by itself": _only(conversion="each_phase"),
        "gain of 7.09 % and offset of 1 %, not calibrated": BARE
        | _only("gain_spread", "offset_spread", column_reads=0),
        "conversion noise of .2 % a phase": BARE | _only("out_noise"),
        "conversion noise, each phase by itself": BARE | _only("out_noise", "conversion"),
        "conversion noise, gain and offset calibrated through it": BARE
        | _only("out_noise", "gain_spread", "offset_spread"),
        "wires of .35 ohm a cell, one phase": BARE | _only("wire_ohm") | {"phases": 1},
        "wires of .35 ohm a cell, four phases": BARE | _only("wire_ohm"),
        "read polarities, spread of 2 % (assumed), one phase": BARE | _only(polarity_spread=0.02) | {"phases": 1},
    }
    whole: dict[str, Case] = {
        f"{device}, programming and drift": BARE | {"read_noise": "off"},
        f"{device}, read noise too": BARE,
        f"{device} and converters of 8 bits": {},
        f"{device} and PeripheryCfg.hermes(), four phases": {"periphery": HERMES},
        f"{device} and PeripheryCfg.hermes(), one phase": {"periphery": HERMES, "phases": 1},
    }
    return {name: {"device": "ideal"} | case for name, case in alone.items()} | {
        name: {"device": device} | case for name, case in whole.items()
    }


def _only(*names: str, **more: Any) -> Case:
    """Return a periphery with these of the errors of HERMES alone, and others as given."""
    return {"periphery": PeripheryCfg(**{name: getattr(HERMES, name) for name in names}, **more)}


def measure(cfg: ReadErrors, case: Case, age_s: float) -> Errors:
    """Return the errors of products on chips of this age."""
    generator = torch.Generator().manual_seed(cfg.seed)
    weights = 0.2 * torch.randn(cfg.chips, cfg.size, cfg.size, generator=generator)
    ranging, x = (2.0 * torch.rand(2, cfg.chips, cfg.batch, cfg.size, generator=generator) - 1.0).unbind()
    full_scale = 1.1 * (ranging @ weights.mT).abs().amax((0, 1))
    chip = CrossbarCfg(in_range=1.0, out_range=tuple(full_scale.tolist()), **case)
    crossbar = Crossbar(weights, chip, n_chips=cfg.chips, generator=generator)
    crossbar.advance(age_s)
    return errors(crossbar(x), x @ weights.mT, full_scale)


def errors(y: Tensor, exact: Tensor, full_scale: Tensor) -> Errors:
    """Compare products, (chips, batch, lines), with exact ones."""
    slope = (y * exact).sum(1, keepdim=True) / exact.square().sum(1, keepdim=True)
    wrong, size = _rms(y - exact), _rms(exact)
    by_chip = ((y - exact).square().mean((1, 2)) / exact.square().mean((1, 2))).sqrt()
    spread = float(by_chip.std(correction=0))
    return Errors(wrong / size, spread, wrong / float(full_scale.mean()), _rms(y - slope * exact) / size)


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def run(cfg: ReadErrors) -> Path:
    """Measure, print the tables, write the folder; return it."""
    with cli.wrong_input():
        folder = cli.run_folder(cfg.out, "read-errors")
        CrossbarCfg(device=cfg.device)
    found = {name: measure(cfg, case, cfg.age_s) for name, case in cases(cfg.device).items()}
    drift = {
        kind: {name: measure(cfg, {"device": cfg.device, "compensation": kind}, age_s) for name, age_s in AGES.items()}
        for kind in ("column", "global", "none")
    }
    own = dataclasses.asdict(cfg) | {"out": str(folder)}
    metrics = {"command": cli.command_line(), "config": own, "errors": _plain(found)}
    metrics["compensation"] = {kind: _plain(row) for kind, row in drift.items()}
    cli.write_json(folder / "metrics.json", metrics)
    draw(found, cfg, folder / "read_errors.png")
    print(tables(found, drift))
    print(folder)
    return folder


def _plain(found: dict[str, Errors]) -> dict[str, dict[str, float]]:
    return {name: each._asdict() for name, each in found.items()}


def tables(found: dict[str, Errors], drift: dict[str, dict[str, Errors]]) -> str:
    """Return both tables for people, in Markdown."""
    heads = "of the output", "+- over chips", "of full scale", "of the output, each line's slope taken out"
    lines = [f"| error [%] | {' | '.join(heads)} |", "|---" * 5 + "|"]
    lines += [f"| {name} | " + " | ".join(f"{100 * each:.2f}" for each in row) + " |" for name, row in found.items()]
    lines += ["", "| factor against drift, error of the output [%] | " + " | ".join(AGES) + " |", "|---" * 4 + "|"]
    for kind, row in drift.items():
        lines.append(f"| {kind} | " + " | ".join(f"{100 * each.of_output:.1f}" for each in row.values()) + " |")
    return "\n".join(lines)


def draw(found: dict[str, Errors], cfg: ReadErrors, path: Path) -> None:
    """Write a PNG with a bar for each error."""
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(8.6, 0.9 + 0.3 * len(found)), layout="constrained")
        axes = figure.subplots()
        values = [100 * each.of_output for each in found.values()]
        colours = [STYLES["chip" if name.startswith(cfg.device) else "software"].colour for name in found]
        spreads = [100 * each.over_chips for each in found.values()]
        bars = axes.barh(list(found), values, color=colours, height=0.68, xerr=spreads, ecolor=INK)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.invert_yaxis()
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel("error of a product over the product, root mean squares [%]")
        what = f"{cfg.size} x {cfg.size} on {cfg.chips} chips and their standard deviation; blue: ideal cells"
        figure.suptitle(what, x=0.01, ha="left", fontsize=10.5)
        picture = io.BytesIO()
        FigureCanvasAgg(figure).print_png(picture)
    write_whole(path, picture.getvalue())


if __name__ == "__main__":
    run(tyro.cli(ReadErrors, prog="python -m launch.read_errors", description=__doc__))
