"""The reward learner in the registry: put to work in software or on a block of chips."""

from __future__ import annotations

from typing import Any

import torch

from .chip import ChipSubstrate, deploy_learner
from .reward_checkpoint import load_reward
from .reward_noise import HardwareCfg, NoisySubstrate
from .reward_policy import RewardPolicy
from .reward_renewal import RenewingPolicy
from .seats import Player, Seat


def seat_reward(seat: Seat, kind: type[RewardPolicy] = RewardPolicy) -> Player:
    """Put it on its memory; it explores in as many episodes as a trial of its meta-training had lessons."""
    assert seat.checkpoint is not None
    shipped = load_reward(seat.checkpoint, seat.env_id)
    generator = torch.Generator().manual_seed(seat.seed)
    if seat.software:
        substrate: Any = NoisySubstrate(shipped.learner, seat.n_tasks, HardwareCfg(), generator)
    else:
        size = (seat.n_chips, seat.n_tasks, seat.seed)
        substrate = deploy_learner(shipped.learner, shipped.calibration, seat.chip, *size)
    unpack, lessons = seat.world.unwrapped.unpack, len(shipped.learner.spread) - 1
    policy = kind(shipped.learner, substrate, unpack, generator, explores=lessons)
    return Player(policy, substrate.bill, substrate.advance if isinstance(substrate, ChipSubstrate) else None)


def seat_reward_renewed(seat: Seat) -> Player:
    """Put it on its memory, for bodies that change: one that is not reached with begins again."""
    return seat_reward(seat, RenewingPolicy)
