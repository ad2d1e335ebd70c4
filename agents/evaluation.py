"""Evaluation on held-out bodies: the policy on its chips beside everything it must be measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from .baselines.controllers import ComputedTorque
from .checks import check_at_least
from .chip import ChipCfg, deploy_learner
from .delta import DeltaLearner
from .episodes import Array, Controller, Episode, check_family, check_seed, make_arms, run_trial
from .metering import Metered
from .policy import DeltaPolicy, SoftwareSubstrate, Substrate


class Shipped(NamedTuple):
    """A meta-trained learner and what its deployment is calibrated with."""

    learner: DeltaLearner
    calibration: dict[str, Tensor]


@dataclass(frozen=True)
class EvaluationCfg:
    """The protocol."""

    env: str
    """Registered id of the family of tasks."""
    chips: int = 8
    """Chips, each programmed once."""
    tasks: int = 100
    """Held-out bodies per band; every chip meets all of them."""
    lessons: int = 5
    """Writes; one more episode than that."""
    seed: int = 0
    """Seed of bodies, references, starts, sensors and chips."""
    chip: ChipCfg = field(default_factory=ChipCfg)
    """How the policy lies on the chip; memory "float" is software."""

    def __post_init__(self) -> None:
        """Refuse what cannot be evaluated."""
        check_family(self.env)
        check_at_least(1, self, "chips", "tasks", "lessons")
        check_seed(self.seed)


class Trial(NamedTuple):
    """Errors, and what the lesson before each episode cost, all (chips, tasks, episodes)."""

    rmse_rad: Array
    devices_written: Array
    energy_j: Array
    devices_failed: Array
    meter: Metered


def reference_seeds(seed: int, n_tasks: int, offset: int = 0) -> list[int]:
    """Return one seed per task for references, starts and sensors."""
    first = 1_000_003 * (seed + 1) + offset
    return list(range(first, first + n_tasks))


class Arena:
    """The bodies and references of one band, the same for every controller that enters."""

    def __init__(self, cfg: EvaluationCfg, band: str, progress: Callable[[str], None] = lambda text: None) -> None:
        self.cfg, self._progress = cfg, progress
        self._worlds: dict[int, Any] = {}
        self.tasks = self.world(1).unwrapped.sample_tasks(cfg.tasks, band=band, split="test", seed=cfg.seed)
        self.band = band

    def world(self, n_chips: int) -> Any:
        """Return a vector environment with an arm for every chip and task."""
        if n_chips not in self._worlds:
            self._worlds[n_chips] = make_arms(self.cfg.env, n_chips * self.cfg.tasks)
        return self._worlds[n_chips]

    def seeds(self, offset: int = 0) -> list[int]:
        """Return one seed per task for references, starts and sensors; `offset` gives fresh ones."""
        return reference_seeds(self.cfg.seed, self.cfg.tasks, offset)

    def run(
        self, controller: Controller, name: str, n_chips: int = 1, n_episodes: int | None = None, offset: int = 0
    ) -> tuple[Array, list[Episode]]:
        """Return errors (chips, tasks, episodes) and the episodes themselves, chip-major."""
        n_episodes = n_episodes or self.cfg.lessons + 1
        bodies, seeds = self.tasks * n_chips, self.seeds(offset) * n_chips
        episodes, _ = run_trial(self.world(n_chips), controller, bodies, seeds, n_episodes)
        self._progress(f"{self.band}: {name}")
        errors = np.stack([episode.rmse_rad for episode in episodes], axis=-1)
        return errors.reshape(n_chips, self.cfg.tasks, -1), episodes

    def close(self) -> None:
        """Free the worlds."""
        for world in self._worlds.values():
            world.close()


def place(arena: Arena, shipped: Shipped, *, software: bool = False) -> tuple[Substrate, int]:
    """Return the substrate that the configuration asks for, and the number of its chips."""
    cfg = arena.cfg
    if software or cfg.chip.memory == "float":
        return SoftwareSubstrate(shipped.learner, cfg.tasks), 1
    return deploy_learner(shipped.learner, shipped.calibration, cfg.chip, cfg.chips, cfg.tasks, cfg.seed), cfg.chips


def run_policy(
    arena: Arena, shipped: Shipped, substrate: Substrate, n_chips: int, name: str, *, plastic: bool = True
) -> Trial:
    """Run a learner's policy through its lessons."""
    policy = DeltaPolicy(shipped.learner, substrate, arena.world(1).unwrapped.arm_cfg, plastic=plastic)
    meter = Metered(policy, substrate)
    errors, _ = arena.run(meter, name, n_chips)
    nothing = np.zeros(n_chips * arena.cfg.tasks)
    shape = (n_chips, arena.cfg.tasks, -1)
    devices = np.stack([nothing, *(lesson.devices for lesson in meter.lessons)], axis=-1).reshape(shape)
    energy = np.stack([nothing, *(lesson.energy_nominal_j for lesson in meter.lessons)], axis=-1).reshape(shape)
    failed = np.stack([nothing, *meter.failed], axis=-1).reshape(shape)
    return Trial(errors, devices, energy, failed, meter)


class Baselines(NamedTuple):
    """Errors (tasks, episodes) of the controllers that own no network."""

    nominal: Array
    integral: Array
    oracle: Array
    integral_gain: float


def run_baselines(arena: Arena) -> Baselines:
    """Run nominal controller, its best integral variant, and the oracle."""
    world, gain = arena.world(1), best_integral_gain(arena.cfg.env)
    nominal, _ = arena.run(ComputedTorque(world), "nominal")
    integral, _ = arena.run(ComputedTorque(world, integral_per_s3=gain), "best integral")
    oracle, _ = arena.run(ComputedTorque(world, arena.tasks), "oracle")
    return Baselines(nominal[0], integral[0], oracle[0], gain)


def best_integral_gain(
    env_id: str, gains: Sequence[float] = (0, 50, 100, 200, 300, 450, 600, 900), n_tasks: int = 48
) -> float:
    """Return the integral gain with the smallest mean error on training bodies (in range), rad/s2 per rad s."""
    env = make_arms(env_id, len(gains) * n_tasks)
    tasks = env.unwrapped.sample_tasks(n_tasks, split="train", seed=77)
    column = np.repeat(np.asarray(gains, dtype=float), n_tasks)[:, None]
    controller = ComputedTorque(env, integral_per_s3=column)
    episodes, _ = run_trial(env, controller, tasks * len(gains), [*range(n_tasks)] * len(gains), 1)
    env.close()
    return float(gains[int(episodes[0].rmse_rad.reshape(len(gains), n_tasks).mean(axis=1).argmin())])
