"""A body that is not reached with after all its lessons begins again: what was written is taken back, and it explores.

The reward learner explores in the first episodes on a body alone, and its signals were meta-trained for lessons that
begin at an unwritten head. When a body changes in mid-life neither holds. That it has changed shows in the distance
that is left at the end of an episode, which the policy sees: nobody tells it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .episodes import Episode
from .reward_policy import RewardPolicy

LEVEL_M = 0.4
"""Mean distance of the tip from its goal over the end of an episode, m, beyond which a body begins again."""
END_STEPS = 12
"""Control steps that are the end of an episode."""


class RenewingPolicy(RewardPolicy):
    """The reward learner's policy for bodies that may change; it takes back a head in one write."""

    def __init__(self, *args: Any, level_m: float = LEVEL_M, **kwargs: Any) -> None:
        """Put a learner on a substrate.

        Args:
            *args: As of the policy.
            level_m: Distance left beyond which a body begins again, m.
            **kwargs: As of the policy; `explores` must be given.
        """
        super().__init__(*args, **kwargs)
        if self._explores is None:
            raise ValueError("a policy that always explores never begins again: give it `explores`")
        self._lessons, self._level_m = self._explores, level_m
        self._born = torch.zeros(1, dtype=torch.int64)
        self._added = torch.zeros(())

    @property
    def ages(self) -> Tensor:
        """Episodes since each body began, (N,), or (1,) while all began together."""
        return self._number - self._born

    @property
    def spread(self) -> Tensor:
        """Standard deviation of each body's exploration in the present episode, (N or 1, 1), in network units."""
        spread = self._learner.spread[self.ages.clamp(max=len(self._learner.spread) - 1)]
        return torch.where(self.ages >= self._lessons, 0.0, spread)[:, None]

    def distance_left(self, episode: Episode) -> Tensor:
        """Return the mean distance of the tip from its goal over the end of an episode, as it was seen, (N,)."""
        seen = self._unpack(torch.from_numpy(episode.observation[:, -END_STEPS:]))
        return (seen.goal_m - seen.tip_m).norm(dim=-1).mean(dim=-1)

    def increment(self, episode: Episode) -> Tensor:
        """Return what a lesson adds, (N, J, D): minus all that was added, where a body begins again."""
        step = super().increment(episode)
        again = (self.ages >= self._lessons) & (self.distance_left(episode) > self._level_m)
        assert self._own is not None
        self._own.forget(again)
        self._born = torch.where(again, self._number + 1, self._born)
        step = torch.where(again[:, None, None], -self._added, step)
        self._added = self._added + step
        return step
