"""What the published suite consists of, part by part: who runs on which memories and bands, on how many chips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .bands import check_labels
from .cells import Cell, Order, SuiteCfg
from .checkpoint import load_of
from .learners import LEARNERS, REACH, checkpoints, find_learner
from .memories import parse_memory
from .midlife import BAND as CHANGING


@dataclass(frozen=True)
class Part:
    """Learners x memories x bands; who does not run on a memory is left out there."""

    memories: tuple[str, ...] = ("float", "hermes_2")
    """Labels of memories."""
    bands: tuple[str, ...] = ("in_range",)
    """Labels of bodies."""
    chips: int = 2
    """Chips."""
    tasks: int = 50
    """Bodies of each band."""
    learners: tuple[str, ...] = ()
    """Names; none: everyone who is in the registry for the world."""
    meta_seeds: tuple[int, ...] = ()
    """Seeds of meta-training; none: all that have a checkpoint."""


def _devices(option: str, values: Iterable[object]) -> tuple[str, ...]:
    return tuple(f"hermes_2 {option}={value}" for value in values)


def _values(parameter: str, values: Iterable[object]) -> tuple[str, ...]:
    return tuple(f"{parameter}={value}" for value in values)


WIRING = (*_values("motor_reversed", (0, 1)), *_values("motor_swap", (-1, 0)))
"""Bodies whose motors all turn the right way, or the wrong way; none of whose motors are swapped, or the first two."""
HOUR_S, DAY_S = 3600, 86400
PLANS: dict[str, Part] = {
    "main": Part(bands=("in_range", "mild", "hard"), chips=8, tasks=100),
    "bits": Part(memories=_devices("bits", (4, 5, 6, 7))),
    "noise": Part(memories=_devices("noise", (0, 0.5, 2, 4))),
    "ages": Part(memories=_devices("age", (HOUR_S, DAY_S, 30 * DAY_S, 365 * DAY_S))),
    "midlife": Part(bands=(CHANGING,)),
    "sensitivity": Part(
        bands=(
            *_values("payload_kg", (0, 0.75, 1.5, 2.25, 3)),
            *_values("viscous_nms", (0, 0.5, 1, 1.75, 2.5)),
            *_values("coulomb_nm", (0, 0.3, 0.6, 1, 1.5)),
            *_values("actuator_gain", (0.5, 0.7, 0.9, 1.1)),
            *_values("action_delay_steps", (0, 1, 2)),
            *WIRING,
        ),
        tasks=20,
    ),
}
"""Parts of the published suite; all but the first with fewer chips and bodies."""


def usual_lessons(env_id: str) -> int:
    """Return how many lessons the published suite gives on a world."""
    return 3 if "Reach" in env_id else 5


def find_plan(name: str, env_id: str) -> Part:
    """Return a part of the published suite on a world: where motors are never miswired, without bodies that are.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in PLANS:
        raise ValueError(f"unknown plan {name!r}; choose from {list(PLANS)}")
    part = PLANS[name]
    return part if env_id in REACH else replace(part, bands=tuple(band for band in part.bands if band not in WIRING))


def orders(part: Part, cfg: SuiteCfg) -> list[Order]:
    """Return the cells of a part, checked.

    Args:
        part: What is wanted.
        cfg: World, lessons and seed; chips and bodies are the part's.

    Raises:
        ValueError: A name is unknown, a checkpoint is missing or of another world, or nothing is left to run.
    """
    cfg = replace(cfg, chips=part.chips, tasks=part.tasks)
    names = part.learners or [name for name, entry in LEARNERS.items() if cfg.env in entry.envs]
    found = [order for name in names for order in _of_learner(name, part, cfg)]
    if not found:
        raise ValueError(f"none of {list(names)} runs on {cfg.env} with memories {list(part.memories)}")
    check_labels(cfg.env, part.bands, part.tasks, cfg.seed)
    for path in sorted({order.checkpoint for order in found if order.checkpoint is not None}):
        load_of(path, cfg.env)
    return found


def _of_learner(name: str, part: Part, cfg: SuiteCfg) -> list[Order]:
    """Return the cells of one learner on every memory that it runs on."""
    entry, seeds = find_learner(name), _meta_seeds(name, part, cfg)
    cells = [
        Cell(name, memory, band, meta_seed, block)
        for memory in part.memories
        if entry.chips or parse_memory(memory).software
        for band in part.bands
        for meta_seed in seeds
        for block in range(1 if parse_memory(memory).software else cfg.n_blocks)
    ]
    return [Order(cfg, cell).checked() for cell in cells]


def _meta_seeds(name: str, part: Part, cfg: SuiteCfg) -> Sequence[int]:
    """Return the meta-seeds of a learner: those asked for, or all there are; one where it has no checkpoints."""
    if find_learner(name).checkpoint is None:
        return [0]
    there = checkpoints(name, cfg.env, cfg.checkpoints)
    if part.learners and not there and not part.meta_seeds:
        raise ValueError(f"learner {name!r} has no checkpoint for {cfg.env}; train one with python -m launch.train")
    return part.meta_seeds or sorted(there)
