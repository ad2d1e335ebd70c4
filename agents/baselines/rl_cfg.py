"""Settings of the reinforcement-learning baselines: numbers alone, no library is needed to read them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..checks import check_at_least
from ..episodes import check_family, check_seed


@dataclass(frozen=True)
class RlCfg:
    """What PPO and RL2 have in common."""

    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id of the family of tasks; bodies are drawn anew at every reset, all from the training split."""
    env_steps: int = 10_000_000
    """Control steps of single arms to train on, at least; the last rollout is finished."""
    arms: int = 256
    """Arms at once."""
    leg: int = 20
    """Rollouts from one saved point to the next; a rollout is one episode (RL2: one trial) of every arm."""
    rate: float = 1e-3
    """Adam's rate at the start."""
    rate_left: float = 1.0
    """Share of the rate that is left at the end: it falls along a line, leg by leg; 1: it is constant."""
    epochs: int = 4
    """Passes over a rollout."""
    minibatches: int = 4
    """Gradient steps in a pass."""
    gamma: float = 0.97
    """Discount of a control step."""
    gae_lambda: float = 0.95
    """Decay of the advantage estimator."""
    log_std: float = -1.5
    """Logarithm of the standard deviation of the actions at the start."""
    entropy: float = 0.0
    """Weight of the entropy in the loss."""
    hidden: int = 64
    """Width of the layers of tanh."""
    seed: int = 0
    """Seed of everything: network, bodies, goals, exploration, batches."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_family(self.env)
        check_seed(self.seed)
        check_at_least(1, self, "env_steps", "arms", "leg", "epochs", "minibatches", "hidden")
        if not 0.0 < self.rate <= 1.0:
            raise ValueError(f"rate must be above 0 and at most 1, got {self.rate}")
        for name in ("gamma", "gae_lambda", "rate_left"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")
        for name in ("log_std", "entropy"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")


@dataclass(frozen=True)
class PpoCfg(RlCfg):
    """Domain-randomised PPO."""


@dataclass(frozen=True)
class Rl2Cfg(RlCfg):
    """RL2."""

    arms: int = 128
    """Arms at once, each on a body of its own for a trial."""
    leg: int = 10
    """Trials of every arm from one saved point to the next."""
    rate: float = 3e-3
    """Adam's rate at the start: after .45 million steps of development runs 3e-3 had got to .66 m, 1e-3 to .76 m."""
    rate_left: float = 0.1
    """Share of the rate that is left at the end: it falls along a line, leg by leg."""
    episodes: int = 4
    """Episodes of a trial."""
    lstm: int = 64
    """Cells of the LSTM of the policy, and of that of its critic."""
    gamma: float = 0.98
    """Discount of a control step; it runs on from episode to episode."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        super().__post_init__()
        check_at_least(1, self, "episodes", "lstm")
