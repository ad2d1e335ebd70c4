"""The evaluation suite: learners x memories x bands x bodies x chips x meta-seeds into one tidy table.

python -m launch.evaluate dynamics --suite --out runs/suite-planar --workers 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.cells import Order, SuiteCfg
from agents.plans import PLANS, Part, find_plan, orders, usual_lessons
from agents.spread import Places
from agents.suite import Store, Work, n_episodes, pending, run_suite, summary
from launch import cli


@dataclass(frozen=True)
class EvaluateSuite:
    """Run the published suite, or any part of it, into --out/table.csv.gz. Each finished cell is kept: the same command
    again goes on where it stopped, and other parts into the same folder add to the table.
    """

    suite: bool = True
    """That this is the suite."""
    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id of the family of tasks."""
    plan: tuple[str, ...] = ("main",)
    """Parts of the published suite: main, bits, noise, ages, midlife, sensitivity (agents/plans.py)."""
    learners: tuple[str, ...] = ()
    """Learners of agents/learners.py; default: all that run on --env."""
    memories: tuple[str, ...] = ()
    """Instead of the plan's: float is software, else a device and what differs from the usual chip, such as
    "hermes_2 bits=6", "hermes_2 noise=2" (factor on the programming error), "hermes_2 age=86400" (seconds between the
    last write and the last episode)."""
    bands: tuple[str, ...] = ()
    """Instead of the plan's: in_range, mild, hard, A-B-A (the body changes in mid-life), or one parameter at one value,
    such as payload_kg=1.2."""
    meta_seeds: tuple[int, ...] = ()
    """Seeds of meta-training; default: all that have a checkpoint."""
    chips: int | None = None
    """Chips, in blocks of eight; default: the plan's."""
    tasks: int | None = None
    """Held-out bodies of each band, which every chip meets; default: the plan's."""
    lessons: int | None = None
    """Lessons; there is one more episode than that. Default: 5 on Track, 3 on Reach."""
    seed: int = 0
    """Seed of bodies, references, starts, sensors and chips; 0 draws the published bodies."""
    checkpoints: Path | None = None
    """Folder of checkpoints; default: the shipped ones."""
    keep_cells: bool = False
    """Take cells that other code or libraries made as they are; default: run them again."""
    workers: int = 1
    """Processes of this machine, one thread each; the table is the same for any number."""
    ray: bool = False
    """Spread over --workers processes by Ray (extra [ray])."""
    ray_address: str | None = None
    """Spread by the Ray that runs there, over all of its machines: "auto", or ray://head:10001."""
    out: Path | None = None
    """Folder of the cells and the table; default: a new one under runs/."""

    def parts(self) -> list[Part]:
        """Return the parts that these options ask for."""
        return [self._changed(find_plan(name, self.env)) for name in self.plan]

    def _changed(self, part: Part) -> Part:
        """Return a part with what the command line says instead."""
        given = {"learners": self.learners, "memories": self.memories, "bands": self.bands}
        given |= {"meta_seeds": self.meta_seeds, "chips": self.chips, "tasks": self.tasks}
        return replace(part, **{name: value for name, value in given.items() if value not in ((), None)})

    def orders(self) -> list[Order]:
        """Return every cell, each once."""
        if not self.plan:
            raise ValueError(f"--plan () names no part; choose from {list(PLANS)}")
        lessons = self.lessons if self.lessons is not None else usual_lessons(self.env)
        cfg = SuiteCfg(self.env, lessons=lessons, seed=self.seed, checkpoints=self.checkpoints)
        return list(dict.fromkeys(order for part in self.parts() for order in orders(part, cfg)))


def run(cfg: EvaluateSuite) -> Path:
    """Run what is left of the suite, write the table, print a summary; return the folder."""
    with cli.wrong_input():
        places = Places(cfg.workers, cfg.ray, cfg.ray_address).checked()
        wanted = cfg.orders()
        folder = cli.run_folder(cfg.out, "suite")
        store = Store(folder, wanted[0].cfg, cfg.keep_cells)
        work = pending(wanted, store)
    if work.n_other:
        print(by_other_code(work, cfg.keep_cells))
    print(beforehand(work, places), flush=True)
    bar = cli.progress(sum(map(n_episodes, work.orders)), "suite")
    for order in run_suite(work, store, places):
        bar.set_postfix_str(f"{order.cell.learner} on {order.cell.memory}, {order.cell.band}")
        bar.update(n_episodes(order))
    bar.close()
    print(table(store, wanted))
    print(folder)
    return folder


def by_other_code(work: Work, keep_cells: bool) -> str:
    """Return what becomes of the cells that other code made."""
    said = f"{work.n_other} cell{'s' if work.n_other > 1 else ''} made by other code than this: "
    if keep_cells:
        return said + "kept as they are"
    left = work.n_other - work.n_again
    return said + f"{work.n_again} run again, {left} left out of the table; --keep-cells takes them as they are"


def beforehand(work: Work, places: Places) -> str:
    """Return what there is to do and how long it will take."""
    share = 1 if places.ray_address is not None else min(places.workers, max(1, len(work.orders)))
    minutes = work.seconds / share / 60
    took = f"about {minutes:.1f} min" if minutes < 90 else f"about {minutes / 60:.1f} h"
    episodes = sum(map(n_episodes, work.orders))
    return (
        f"{len(work.orders)} cells to run ({episodes:,} episodes), {work.n_kept} kept: {took} on {places.described}"
        + (", less with every further core" if places.ray_address is not None else "")
    )


def table(store: Store, wanted: Sequence[Order]) -> str:
    """Return the mean error in every episode of what was asked for."""
    asked = {(order.cell.learner, order.cell.memory, order.cell.band) for order in wanted}
    unit = "rad, joints" if "Track" in store.cfg.env else "m, tip"
    lines = [f"{'mean error [' + unit + '] after k lessons':<52}{'trials':>8}"]
    for key, each in sorted(summary(store).items()):
        if key in asked:
            lines.append(f"{', '.join(key):<52}{each['trials']:>8}" + "".join(f"{v:8.3f}" for v in each["error"]))
    return "\n".join(lines)
