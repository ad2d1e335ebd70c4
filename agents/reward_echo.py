"""What the fixed layers of the reward learner hear of their own commands: echoes, and how bodies answered them.

Which joint a motor moves, and which way, is in the head that lessons have written: seen through a learned compass, a
head says what each joint was told. So the policy hears its last commands as the joints got them, however the motors are
wired, and a body that acts late can be led by what it has been told and not yet done. A Smith predictor does the same
with a model (Smith, Chem. Eng. Prog. 53, 1957); here the layers learn it.

How late a body is shows in how its velocities changed after commands of 0, 1, 2, ... steps before: a correlation, kept
with each lesson over all episodes so far, of J x J digital numbers for each lag. The layers are told it through the
same compass; what else follows from it is in `reward_lateness.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from .reward_sense import sensed_steps

if TYPE_CHECKING:
    from .reward import Lesson, RewardLearner

SMALL_WIRING = 0.05  # Frobenius norm of a wiring below which nothing is said of lateness


def lagged(series: Tensor, lags: int) -> Tensor:
    """Return (N, T, J) at each of `lags` steps back, the oldest first, zero before the episode; (N, T, J, lags)."""
    return nn.functional.pad(series, (0, 0, lags - 1, 0)).unfold(1, lags, 1)


def as_joints(command: Tensor, wiring: Tensor) -> Tensor:
    """Return commands (N, T, J) as joints get them by a wiring (N, J commands, J joints), within -1 to 1."""
    return torch.tanh(0.5 * command @ wiring)


def echoes(command: Tensor, wiring: Tensor, steps: int) -> Tensor:
    """Return what joints were told 1 to `steps` steps before each command of an episode; (N, T, J * steps)."""
    before = nn.functional.pad(as_joints(command, wiring), (0, 0, 1, 0))[:, :-1]
    return lagged(before, steps).flatten(-2)


class Answers(NamedTuple):
    """How N bodies answered what they were told, summed over episodes: commands in whole, and their random part."""

    sums: Tensor  # (N, 2, lags, J joints, J commands) of change of velocity times command
    moved: Tensor  # (N, J) of squared changes of each joint's velocity
    issued: Tensor  # (N, 2) of squared commands

    @staticmethod
    def nothing(n_bodies: int, lags: int, n_joints: int) -> Answers:
        """Return sums over no episode."""
        return Answers(
            torch.zeros(n_bodies, 2, lags, n_joints, n_joints),
            torch.zeros(n_bodies, n_joints),
            torch.zeros(n_bodies, 2),
        )

    def heard(self, step_qd: Tensor, command: Tensor, mean: Tensor, kept: float = 1.0) -> Answers:
        """Return the sums with an episode more.

        Args:
            step_qd: Change of each joint's velocity in each step, (N, T, J).
            command: What was issued, (N, T, J).
            mean: What would have been without exploration, (N, T, J).
            kept: Share of the sums so far that is kept.
        """
        lags = self.sums.shape[2]
        told = torch.stack([command, command - mean], dim=1)
        back = lagged(told.flatten(0, 1), lags).unflatten(0, told.shape[:2])
        return Answers(
            kept * self.sums + torch.einsum("nti,nptjl->nplij", step_qd, back),
            kept * self.moved + step_qd.square().sum(dim=1),
            kept * self.issued + told.square().sum(dim=(2, 3)),
        )

    @property
    def correlation(self) -> Tensor:
        """Correlations, (N, 2, lags, J joints, J commands); 0 where nothing was heard."""
        width = (self.moved[:, None] * self.issued[..., None]).sqrt().clamp(min=1e-6)
        return self.sums / width[:, :, None, :, None]


def lateness(correlation: Tensor, wiring: Tensor) -> Tensor:
    """Return the correlations at each lag along a wiring (N, J commands, J joints), (N, 2 * lags)."""
    size = wiring.flatten(1).square().sum(dim=1).add(1e-8).sqrt() + SMALL_WIRING
    return 2.0 * torch.einsum("nplij,nji->npl", correlation, wiring).flatten(1) / size[:, None]


class OwnCommands:
    """What a policy at work keeps of its commands: the wiring that its writes have shown, and the bodies' answers."""

    def __init__(self, learner: RewardLearner, n_arms: int) -> None:
        """Know what the head that lessons begin with shows, and no answer."""
        cfg = learner.network
        self._learner = learner
        self._start = learner.wiring(learner.head.detach().expand(n_arms, -1, -1))
        self._wiring = self._start
        self._know(Answers.nothing(n_arms, cfg.answers, cfg.n_joints))

    def _know(self, answers: Answers) -> None:
        """Keep answers and, once for all steps of an episode, their correlations and how late each body is, (N,)."""
        self._answers, self.correlation = answers, answers.correlation
        self.late = self._learner.late(self.correlation)

    def hear(self, commands: Sequence[Tensor]) -> Tensor:
        """Return what the fixed layers hear after commands of this episode, each (N, J); (N, n_heard)."""
        cfg = self._learner.network
        silent = [torch.zeros(len(self.late), cfg.n_joints)] * (cfg.echoes + 1)
        recent = torch.stack([*silent, *commands[-cfg.echoes :], silent[0]][-cfg.echoes - 1 :], dim=1)
        taken = self._learner.cut(recent)
        return self._learner.hear(taken, self._wiring, self.correlation)[:, -1]

    def attend(self, lesson: Lesson) -> None:
        """Hear how the bodies answered in a lesson."""
        cfg = self._learner.network
        if cfg.answers:
            steps = sensed_steps(cfg, lesson.sensed)
            self._know(self._answers.heard(steps, lesson.command, lesson.mean, cfg.answers_kept))

    def count(self, step: Tensor) -> None:
        """Count what a lesson wrote, (N, J, D) as it was aimed at."""
        self._wiring = self._wiring + self._learner.wiring(step)

    def forget(self, bodies: Tensor) -> None:
        """Forget what some bodies, a mask (N,), have shown."""
        kept = (torch.where(bodies.view(-1, *[1] * (sums.dim() - 1)), 0.0, sums) for sums in self._answers)
        self._know(Answers(*kept))
        self._wiring = torch.where(bodies[:, None, None], self._start, self._wiring)
