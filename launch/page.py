"""From a showcase to what people see: the table of lessons, the finding, the videos and the page."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch

from agents.bill import Bill
from agents.evaluation import Arena
from agents.showcase import Showcase
from agents.statistics import NestedBootstrap
from envs import rendering
from launch import cli
from launch.film import film
from launch.plots import Series
from launch.report import BillLine, HiddenItem, Outcome, ReportData, write_report
from pcm_backend.ledger import constants


def lessons_table(arena: Arena, show: Showcase) -> str:
    """Return the table of lessons: the error of each episode and what the lesson before it wrote and cost."""
    errors, devices, energy = means(show)
    lines = [f"{'lessons':>8}{'error, rad':>12}{'devices written':>17}{'lesson, uJ':>12}{'nominal':>9}{'oracle':>8}"]
    for k, error in enumerate(errors):
        fixed = show.bases.nominal[:, k].mean(), show.bases.oracle[:, k].mean()
        lines.append(f"{k:8d}{error:12.3f}{devices[k]:17.0f}{energy[k] * 1e6:12.1f}{fixed[0]:9.3f}{fixed[1]:8.3f}")
    chips, tasks, _ = show.trial.rmse_rad.shape
    return "\n".join(
        [*lines, f"means over {tasks} bodies and {chips} chips; {arena.cfg.env} on {arena.cfg.chip.memory}"]
    )


def means(show: Showcase) -> tuple[Any, Any, Any]:
    """Return errors, devices written and joules of each lesson, means over chips and bodies."""
    trial = show.trial
    return tuple(v.mean(axis=(0, 1)) for v in (trial.rmse_rad, trial.devices_written, trial.energy_j))  # type: ignore[return-value]


def outcome(arena: Arena, show: Showcase) -> Outcome:
    """Return the finding, means over bodies and chips."""
    errors, devices, energy = means(show)
    motion_s = arena.cfg.lessons * (show.before.action.shape[0] * arena.world(1).unwrapped.arm_cfg.dt_s)
    oracle = float(show.bases.oracle[:, -1].mean())
    return Outcome(
        float(errors[0]),
        float(errors[-1]),
        oracle,
        arena.cfg.lessons,
        motion_s,
        float(devices.sum()),
        float(energy.sum()),
    )


def write(folder: Path, arena: Arena, show: Showcase, size: tuple[int, int]) -> Path:
    """Write before.mp4, after.mp4, metrics.json and report.html; return the page."""
    env_id = arena.cfg.env
    before = film(folder / "before.mp4", env_id, show.task, show.before, size)
    after = film(folder / "after.mp4", env_id, show.task, show.after, size)
    cli.write_json(folder / "metrics.json", summary(arena, show))
    report = ReportData(
        title=f"{env_id.split('/')[-1]} on {arena.cfg.chip.memory}",
        outcome=outcome(arena, show),
        before_mp4=before,
        after_mp4=after,
        filmed_rad=(float(show.before.rmse_rad), float(show.after.rmse_rad)),
        curve=curves(arena, show),
        curve_note=curve_note(show),
        hidden=hidden(show.task),
        head_before_us=show.head_before_us,
        head_after_us=show.head_after_us,
        bill=bill_lines(arena, show),
        assumptions=assumptions(),
        command=cli.command_line(),
        facts=facts(arena, show),
        log_curve=True,
    )
    write_report(folder / "report.html", report)
    return folder / "report.html"


def curves(arena: Arena, show: Showcase) -> list[Series]:
    """Return the lines of the adaptation curve."""
    chips, tasks, _ = show.trial.rmse_rad.shape
    boot, boot_software = (NestedBootstrap(n, tasks, arena.cfg.seed) for n in (chips, 1))
    return [
        _series("policy on the chip", "chip", show.trial.rmse_rad, boot),
        _series("policy in software", "software", show.software.rmse_rad, boot_software),
        _series("never written", "never", show.still.rmse_rad, boot),
        _series("nominal", "nominal", show.bases.nominal, boot),
        _series("best integral", "integral", show.bases.integral, boot),
        _series("oracle", "oracle", show.bases.oracle, boot),
    ]


def _series(name: str, style: str, errors: Any, boot: NestedBootstrap) -> Series:
    """Return one line with its interval, from errors (chips, tasks, episodes) or (tasks, episodes)."""
    episodes = range(errors.shape[-1])
    mean = [float(errors[..., k].mean()) for k in episodes]
    return Series(name, style, mean, [boot.interval(errors[..., k]) for k in episodes])


def curve_note(show: Showcase) -> str:
    """Return what the curve averages."""
    chips, tasks, _ = show.trial.rmse_rad.shape
    return (
        f"Means over {tasks} held-out bodies and {chips} chips; bands are 95 % intervals of a bootstrap that resamples "
        f"bodies and chips, each on its own; one meta-seed. Every controller meets the same bodies, references and "
        f"starts."
    )


def hidden(task: Any) -> list[HiddenItem]:
    """Return the body that the policy was not told, one line a quantity."""
    nominal = type(task).nominal(task.arm).params
    items = []
    for name, value in task.params.items():
        words, unit = UNITS[name]
        items.append(HiddenItem(words, _said(value, unit), _said(nominal[name], unit), COMMENTS.get(name, "")))
    return items


UNITS = {
    "payload_kg": ("payload", "kg"),
    "viscous_nms": ("viscous friction, per joint", "N m s"),
    "coulomb_nm": ("Coulomb friction, per joint", "N m"),
    "actuator_gain": ("motor strength, per joint", ""),
    "link_mass_scale": ("mass of the links", ""),
    "link_length_scale": ("length of the links", ""),
    "gravity_tilt_rad": ("tilt of the base", "rad"),
    "gravity_heading_rad": ("heading of the tilt", "rad"),
    "action_delay_steps": ("delay of the motors", "control steps"),
}
COMMENTS = {
    "payload_kg": "hangs at the tip",
    "viscous_nms": "worn joints",
    "coulomb_nm": "worn joints",
    "actuator_gain": "1 is a healthy motor",
    "action_delay_steps": "of 20 ms",
}


def _said(value: Any, unit: str) -> str:
    """Return a value, or several, with the unit."""
    numbers = " / ".join(f"{number:.3g}" for number in np.atleast_1d(value))
    prefix = "x " if unit == "" else ""
    return f"{prefix}{numbers} {unit}".strip()


def bill_lines(arena: Arena, show: Showcase) -> list[BillLine]:
    """Return the bill per chip and body: programming once, lessons, acting, and their sum."""
    lessons = Bill.nothing(len(show.programming.products))
    for lesson in show.trial.meter.lessons:
        lessons = lessons.plus(lesson)
    acting, n = show.trial.meter.acting(), arena.cfg.lessons
    parts = {
        "programming and ageing the chip (this body's share)": show.programming,
        f"{n} lessons: reading in hindsight, verifying, writing": lessons,
        f"{n + 1} episodes of acting": acting,
        "total": show.programming.plus(lessons).plus(acting),
    }
    return [_bill_line(name, bill) for name, bill in parts.items()]


def _bill_line(name: str, bill: Bill) -> BillLine:
    """Return one line of the bill, means over chips and bodies."""
    mean = bill.means()
    return BillLine(
        part=name,
        products=mean["products"] + mean["calibration_products"],
        devices=mean["devices"],
        pulses=mean["pulses"],
        energy_j=(mean["energy_low_j"], mean["energy_nominal_j"], mean["energy_high_j"]),
        seconds=mean["seconds"],
        verify_reads=mean["verify_reads"],
    )


def assumptions() -> list[str]:
    """Return what the bill assumes, a sentence each."""
    sources = [
        f"{name}: {cost['nominal']:.3g} ({cost['source']})."
        for name, cost in constants().items()
        if "4_phase" in name or "pulse" in name
    ]
    own = (
        "Pulses of a written device: the mean number that program-and-verify took on simulated HERMES cells, SET and "
        "RESET by target."
    )
    return [
        own,
        "Products include those that measure the drift-compensation factors; digital work is counted, not billed.",
        *sources,
    ]


def facts(arena: Arena, show: Showcase) -> list[tuple[str, str]]:
    """Return how the page was made."""
    rng = "the body at the upper quartile of the error before any lesson, on chip 0"
    return [
        ("arm shown", f"body {show.body} of {arena.cfg.tasks}; by default {rng}"),
        (
            "its error in the videos",
            f"{float(show.before.rmse_rad):.3f} rad before, {float(show.after.rmse_rad):.3f} after",
        ),
        ("memory", arena.cfg.chip.memory),
        ("chips", str(arena.cfg.chips)),
        ("age of the chips", f"{arena.cfg.chip.age_s:g} s"),
        ("seed", str(arena.cfg.seed)),
        ("drawn by", rendering.backend_name()),
        ("versions", f"Python {platform.python_version()}, torch {torch.__version__}, MuJoCo {mujoco.__version__}"),
    ]


def summary(arena: Arena, show: Showcase) -> dict[str, Any]:
    """Return metrics.json of the demo."""
    found = outcome(arena, show)
    return {
        "scenario": "dynamics",
        "env": arena.cfg.env,
        "memory": arena.cfg.chip.memory,
        "chips": arena.cfg.chips,
        "tasks": arena.cfg.tasks,
        "seed": arena.cfg.seed,
        "sentence": found.sentence,
        "rmse_rad": show.trial.rmse_rad.mean(axis=(0, 1)).tolist(),
        "devices_written": show.trial.devices_written.mean(axis=(0, 1)).tolist(),
        "energy_j": show.trial.energy_j.mean(axis=(0, 1)).tolist(),
        "oracle_rmse_rad": show.bases.oracle.mean(axis=0).tolist(),
        "nominal_rmse_rad": show.bases.nominal.mean(axis=0).tolist(),
        "shown_body": {"index": show.body, "task": show.task.to_json()},
    }
