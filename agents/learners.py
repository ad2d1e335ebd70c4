"""The registry of learners: on which worlds and memories each runs, and how it is put on a block of chips.

A learner of your own is one line in LEARNERS and a function from a `Seat` to a `Player`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .baselines.controllers import ComputedTorque
from .baselines.reaching import ReachComputedTorque
from .checkpoint import PRETRAINED
from .chip import ChipSubstrate, deploy_learner
from .evaluation import best_integral_gain
from .policy import DeltaPolicy, SoftwareSubstrate
from .reward_seat import seat_reward, seat_reward_renewed
from .rl_seats import seat_rl
from .seats import Player, Seat
from .shipped import load_shipped
from .surprise import LEVEL
from .tracking_seats import seat_cavia, seat_maml, seat_ridge, seat_rls, seat_rls_nominal, seat_slotine_li

TRACK = ("envs:PhaseArm/PlanarTrack-v0", "envs:PhaseArm/ScorbotTrack-v0")
REACH = ("envs:PhaseArm/PlanarReach-v0", "envs:PhaseArm/ScorbotReach-v0")


@dataclass(frozen=True)
class Entry:
    """A learner of the registry."""

    envs: tuple[str, ...]
    """Ids of the worlds that it runs on."""
    build: Callable[[Seat], Player]
    """Puts it to work; what it returns has met no body."""
    chips: bool = False
    """Whether it can lie on a chip; else it is software alone."""
    told: bool = False
    """Whether it is told the true body: then it is told of every change, too."""
    checkpoint: str | None = None
    """Name of its checkpoints without meta-seed and ending, {env} for the world, such as "delta-{env}"."""


def seat_delta(seat: Seat, surprise: float = math.inf) -> Player:
    """Put the delta learner, or a control, on its memory; lessons beyond `surprise` begin again from the start."""
    assert seat.checkpoint is not None
    shipped = load_shipped(seat.checkpoint, seat.env_id)
    if seat.software:
        substrate: Any = SoftwareSubstrate(shipped.learner, seat.n_tasks)
    else:
        size = (seat.n_chips, seat.n_tasks, seat.seed)
        substrate = deploy_learner(shipped.learner, shipped.calibration, seat.chip, *size)
    policy = DeltaPolicy(shipped.learner, substrate, seat.world.unwrapped.arm_cfg, surprise=surprise)
    return Player(policy, substrate.bill, substrate.advance if isinstance(substrate, ChipSubstrate) else None)


def seat_delta_renewed(seat: Seat) -> Player:
    """Put the delta learner on its memory, for bodies that change: a lesson that surprises begins again."""
    return seat_delta(seat, LEVEL)


def seat_nominal(seat: Seat) -> Player:
    """Computed torque from the nominal arm; on Reach to joint angles that bring its tip to the goal."""
    return Player(_model_based(seat.env_id)(seat.world))


def seat_integral(seat: Seat) -> Player:
    """Computed torque from the nominal arm, with the best integral of the joint error."""
    return Player(ComputedTorque(seat.world, integral_per_s3=_gain(seat.env_id)))


def seat_oracle(seat: Seat) -> Player:
    """The same from the true body."""
    return Player(_model_based(seat.env_id)(seat.world, seat.bodies))


def _model_based(env_id: str) -> Any:
    """Return the controller that is a world's scale: zero from the nominal arm, one from the true body."""
    return ReachComputedTorque if env_id in REACH else ComputedTorque


_gain = lru_cache(maxsize=None)(best_integral_gain)

LEARNERS: dict[str, Entry] = {
    "nominal": Entry(TRACK + REACH, seat_nominal),
    "integral": Entry(TRACK, seat_integral),
    "oracle": Entry(TRACK + REACH, seat_oracle, told=True),
    "delta": Entry(TRACK, seat_delta, chips=True, checkpoint="delta-{env}"),
    "delta-midlife": Entry(TRACK, seat_delta, chips=True, checkpoint="delta-midlife-{env}"),
    "delta-renewed": Entry(TRACK, seat_delta_renewed, chips=True, checkpoint="delta-{env}"),
    "delta-random": Entry(TRACK, seat_delta, chips=True, checkpoint="delta-{env}-random"),
    "delta-plain": Entry(TRACK, seat_delta, chips=True, checkpoint="delta-plain-{env}"),
    "ridge": Entry(TRACK, seat_ridge, checkpoint="delta-{env}"),
    "cavia": Entry(TRACK, seat_cavia, chips=True, checkpoint="cavia-{env}"),
    "maml": Entry(TRACK, seat_maml, chips=True, checkpoint="maml-{env}"),
    "rls": Entry(TRACK, seat_rls),
    "rls-nominal": Entry(TRACK, seat_rls_nominal),
    "slotine_li": Entry(TRACK, seat_slotine_li),
    "ppo": Entry((*TRACK, *REACH), seat_rl, chips=True, checkpoint="ppo-{env}"),
    "reward": Entry(REACH, seat_reward, chips=True, checkpoint="reward-{env}"),
    "reward-renewed": Entry(REACH, seat_reward_renewed, chips=True, checkpoint="reward-{env}"),
    "rl2": Entry((*TRACK, *REACH), seat_rl, chips=True, checkpoint="rl2-{env}"),
}


def find_learner(name: str) -> Entry:
    """Return a learner's entry.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in LEARNERS:
        raise ValueError(f"unknown learner {name!r}; choose from {sorted(LEARNERS)}")
    return LEARNERS[name]


def checkpoint_path(name: str, env_id: str, meta_seed: int, folder: Path | None = None) -> Path | None:
    """Return the checkpoint of a learner, a world and a meta-seed; None: the learner has none.

    The first meta-seed's may go without its number.

    Raises:
        ValueError: There is no such checkpoint.
    """
    found = checkpoints(name, env_id, folder)
    if not found and find_learner(name).checkpoint is None:
        return None
    if meta_seed not in found:
        raise ValueError(
            f"learner {name!r} has no checkpoint of meta-seed {meta_seed} for {env_id} in {folder or PRETRAINED}; "
            f"there are {sorted(found)}"
        )
    return found[meta_seed]


def checkpoints(name: str, env_id: str, folder: Path | None = None) -> dict[int, Path]:
    """Return the checkpoints of a learner and a world by meta-seed; of the shipped ones where no folder is named."""
    folder = folder or PRETRAINED
    pattern = find_learner(name).checkpoint
    if pattern is None:
        return {}
    stem = pattern.format(env=env_id.rsplit("/", maxsplit=1)[-1].lower())
    first = folder / f"{stem}.safetensors"
    numbered = {path: path.stem.removeprefix(f"{stem}-") for path in folder.glob(f"{stem}-*.safetensors")}
    found = {0: first} if first.is_file() else {}
    return found | {int(number): path for path, number in numbered.items() if number.isdigit()}
