"""The verb `chip` of the bench: how fast chips are simulated, where layers lie on them, what devices went through."""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from agents.checkpoint import write_whole
from agents.chip import ChipCfg, ChipSubstrate
from agents.evaluation import Arena, EvaluationCfg, place, run_policy
from agents.shipped import load_shipped, shipped_path
from launch import cli
from launch.plots_chip import Map, maps_png, plan_png
from launch.speed_chip import ROWS, Speed, bytes_per_weight
from pcm_backend import Crossbar
from pcm_backend.floorplan import array_sizes, floor_plan

BYTES_MUST = 40.0
"""Bytes per weight of the statistical devices, at most."""
ENDURANCE = 1e6
"""Median pulses that a device survives, given so that pulses are counted (IBM patent US20210264978: 1e6 or more)."""
PAPER = {
    "characters": {"conv1": (9, 56), "conv2": (504, 56), "conv3": (504, 56), "conv4": (504, 56), "readout": (56, 5)},
    "trajectory": {"input and recurrent": (255, 250)},
}
"""Rows and lines of the networks of Ortner, Petschenig et al., Nature Communications 2025."""


@dataclass(frozen=True)
class BenchChip:
    """Speed of the simulated chip over plain torch, on one thread; or the floor plan, or maps, of a network on it."""

    floorplan: bool = False
    """Show which rows and lines of which core belong to which layer, as text and picture, instead of measuring."""
    maps: bool = False
    """Draw what the devices of an arm's head conduct, how old they are and how many pulses they took after the lessons
    of one body, instead of measuring."""
    network: Literal["planar", "scorbot", "characters", "trajectory"] = "planar"
    """Network of plan or maps: an arm's shipped policy, or one of the reference paper's (plan only)."""
    lessons: int = 5
    """Lessons before the maps are drawn."""
    rounds: int = 3
    """Times that the whole table is measured; shown are the medians."""
    seed: int = 0
    """Seed of the chip of plan and maps; what is timed does not depend on it."""
    out: Path | None = None
    """Folder for metrics.json and pictures; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what cannot be shown or measured."""
        if self.floorplan and self.maps:
            raise ValueError("--floorplan and --maps exclude each other; ask for one")
        if self.maps and self.network in PAPER:
            raise ValueError(f"--maps of {self.network!r} is not there; choose from ['planar', 'scorbot']")
        for name in ("rounds", "lessons"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(self, name)}")

    @property
    def env(self) -> str:
        """Registered id of the arm's family of tasks."""
        return f"envs:PhaseArm/{self.network.capitalize()}Track-v0"


def run_chip(cfg: BenchChip) -> Path:
    """Measure or draw, print the table, write the folder; return it."""
    with cli.wrong_input():
        folder = cli.run_folder(cfg.out, "bench-chip")
        found, text = plan(cfg, folder) if cfg.floorplan else maps(cfg, folder) if cfg.maps else speed(cfg)
    config = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(cfg).items()}
    cli.write_json(
        folder / "metrics.json", {"scenario": "chip", "command": cli.command_line(), "config": config} | found
    )
    print(text)
    print(folder)
    return folder


def speed(cfg: BenchChip) -> tuple[dict[str, Any], str]:
    """Time every row of the table and measure memory; return what was found, and the table for people."""
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    torch.set_num_threads(1)
    bar = cli.progress(cfg.rounds * len(ROWS), "rows")
    times: dict[str, list[Speed]] = {row.work: [] for row in ROWS}
    for _ in range(cfg.rounds):
        for row in ROWS:
            times[row.work].append(row.measure())
            cli.tick(bar, row.work)
    bar.close()
    torch.set_num_threads(threads)
    rows = [
        summary(times[row.work]) | {"work": row.work, "must": row.must, "aim": row.aim} for row in ROWS
    ]  # fmt: skip
    rows = [row | {"met": row["ratio"] <= row["must"]} for row in rows]
    memory = {noise: bytes_per_weight(noise) for noise in ("each", "off")}
    versions = {"torch": version("torch"), "python": platform.python_version()}
    found = {
        "rows": rows,
        "bytes_per_weight": memory,
        "bytes_per_weight_must": BYTES_MUST,
        "load_average_at_start": round(load, 2),
        "versions": versions,
    }
    return found, speed_table(found)


def summary(speeds: list[Speed]) -> dict[str, Any]:
    """Return medians over the rounds, and the range of the ratio."""
    ratios = [each.ratio for each in speeds]
    return {
        "ours_s": statistics.median(each.ours_s for each in speeds),
        "baseline_s": statistics.median(each.baseline_s for each in speeds),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def speed_table(found: dict[str, Any]) -> str:
    """Return the table for people."""
    lines = [
        f"one thread, CPU seconds, load at start {found['load_average_at_start']}; "
        + ", ".join(f"{name} {number}" for name, number in found["versions"].items()),
        f"{'work / plain torch':<66}{'ours':>11}{'torch':>11}{'ratio':>8}{'must':>7}{'aim':>7}",
    ]
    for row in found["rows"]:
        times = f"{row['ours_s'] * 1e3:>8.2f} ms{row['baseline_s'] * 1e3:>8.2f} ms"
        verdict = "" if row["met"] else "  missed"
        lines.append(f"{row['work']:<66}{times}{row['ratio']:>8.3g}{row['must']:>7g}{row['aim']:>7g}{verdict}")
    for noise, count in found["bytes_per_weight"].items():
        verdict = "" if count <= BYTES_MUST else "  missed"
        work = f"bytes per weight, read noise {noise}"
        lines.append(f"{work:<66}{'':>22}{count:>8.3g}{BYTES_MUST:>7g}{verdict}")
    return "\n".join(lines)


def plan(cfg: BenchChip, folder: Path) -> tuple[dict[str, Any], str]:
    """Lay out a network; return the placements, and the table for people."""
    sizes = PAPER[cfg.network] if cfg.network in PAPER else array_sizes(_arrays(_deployed(cfg)[2]))
    laid = floor_plan(sizes)
    write_whole(folder / "floorplan.png", plan_png(laid, f"network of {cfg.network}"))
    found = {"placements": [each._asdict() for each in laid.placements], "cores": laid.n_cores, "cells": laid.cells}
    return found, f"{laid}\n{folder / 'floorplan.png'}"


def maps(cfg: BenchChip, folder: Path) -> tuple[dict[str, Any], str]:
    """Let one arm's policy take its lessons, and draw its head."""
    arena, shipped, chips = _deployed(cfg)
    run_policy(arena, shipped, chips, 1, "policy on the chip")
    arena.close()
    head = chips.head_array
    drawn = head_maps(head)
    title = f"head of {cfg.network} on one chip of hermes_2 after {cfg.lessons} lessons on one body"
    write_whole(folder / "maps.png", maps_png(drawn, title))
    bills = {name: each.ledger.to_json() for name, each in _arrays(chips).items()}
    pulses = torch.as_tensor(drawn[-1].values)
    found = {"layers": bills, "pulses_per_device": {"mean": float(pulses.mean()), "max": float(pulses.max())}}
    lines = [f"{name:<10} {each.ledger!r}" for name, each in _arrays(chips).items()]
    return found, "\n".join([*lines, str(folder / "maps.png")])


def head_maps(head: Crossbar) -> list[Map]:
    """Return maps of the first chip: conductances, ages and pulses; slices and polarities one below the other."""
    difference = head.conductances_us()[0, :, 0] - head.conductances_us()[0, :, 1]  # (slices, lines, rows)
    pairs = "lines of slices and polarities one below the other"
    return [
        Map("differential conductance [µS], slices one below the other", difference.flatten(0, 1), signed=True),
        Map(f"age of the devices [s], {pairs}", head.ages_s()[0].flatten(0, 2), log=True),
        Map(f"wear: pulses that each device took, {pairs}", head.pulses_taken()[0].flatten(0, 2)),
    ]


def _deployed(cfg: BenchChip) -> tuple[Arena, Any, ChipSubstrate]:
    shipped = load_shipped(shipped_path(cfg.env), cfg.env)
    chip = ChipCfg(endurance=ENDURANCE) if cfg.maps else ChipCfg()
    arena = Arena(EvaluationCfg(cfg.env, 1, 1, cfg.lessons, cfg.seed, chip), "in_range")
    substrate = place(arena, shipped)[0]
    assert isinstance(substrate, ChipSubstrate)
    return arena, shipped, substrate


def _arrays(chips: ChipSubstrate) -> dict[str, Crossbar]:
    return {**chips.fixed_layers.crossbars, "head": chips.head_array}
