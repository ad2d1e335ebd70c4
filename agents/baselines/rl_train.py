"""Training of the reinforcement-learning baselines by their own libraries: runs that stop and go on, and are counted.

A run is a row of legs. Each leg begins with generators seeded from (seed, leg) and with every arm at the beginning of
an episode, so that arrays and Adam's moments are all that a leg hands to the next: a run that goes on from a saved leg
ends as if it had never stopped.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env.base_vec_env import VecEnv
from torch import Tensor

from ..adam import adam_state, adam_tensors
from ..checkpoint import check_arrays, entries, load, save, under
from ..episodes import Array
from .actors import actor_tensors
from .scaled import ScaledVecEnv, measure
from .scaling import Scaling, scaling_of


class Kind(Protocol):
    """One of the library's learners."""

    name: str

    def arms(self, cfg: Any) -> VecEnv:
        """Return the arms to train on; their episodes all end together."""
        ...

    def model(self, cfg: Any, env: VecEnv, n_steps: int) -> Any:
        """Return the library's algorithm for rollouts of `n_steps`."""
        ...

    def sizes(self, cfg: Any, env: VecEnv) -> dict[str, int]:
        """Return what our own policy of the same form is built with."""
        ...

    def calibration(self, observation: Tensor) -> Tensor:
        """Return what the actor takes, of scaled observations (steps, arms, n_obs)."""
        ...


class RlTrainer:
    """The state of a run, whole after every leg."""

    def __init__(self, kind: Kind, cfg: Any, scaling: Scaling | None = None) -> None:
        """Start a run: measure the scales by an episode of random actions, which counts, and build the learner.

        Args:
            kind: The learner.
            cfg: The run.
            scaling: That of a run to go on with; None: measure.
        """
        self.kind, self.cfg, self.leg = kind, cfg, 0
        arms = kind.arms(cfg)
        arms.seed(_seed(cfg.seed, 0))
        generator = np.random.default_rng(_seed(cfg.seed, 0))
        measured, self.n_steps = measure(arms, math.exp(cfg.log_std), cfg.gamma, generator)
        self.env = ScaledVecEnv(arms, scaling or measured)
        torch.manual_seed(_seed(cfg.seed, 0))
        self.model = kind.model(cfg, self.env, self.n_steps)
        self.model.num_timesteps = cfg.arms * self.n_steps

    @property
    def env_steps(self) -> int:
        """Control steps of single arms so far, those that measured the scales included."""
        return self.model.num_timesteps

    @property
    def done(self) -> bool:
        """Whether the run has had its steps."""
        return self.env_steps >= self.cfg.env_steps

    def rate(self) -> float:
        """Return Adam's rate of the next leg."""
        share = min(1.0, self.env_steps / self.cfg.env_steps)
        return self.cfg.rate * (1.0 - (1.0 - self.cfg.rate_left) * share)

    def run_leg(self) -> dict[str, Any]:
        """Train for a leg; return what a log line needs."""
        cfg, scores, rate = self.cfg, Scores(), self.rate()
        self.leg += 1
        self.model.set_random_seed(_seed(cfg.seed, self.leg))  # the library draws from global generators
        self.model.lr_schedule = lambda _: rate
        self.model._last_obs = None  # a leg begins with a reset of every arm
        rollout = cfg.arms * self.n_steps
        left = math.ceil((cfg.env_steps - self.env_steps) / rollout)
        self.model.learn(rollout * min(cfg.leg, left), scores, log_interval=None, reset_num_timesteps=False)
        line = {"leg": self.leg, "env_steps": self.env_steps, **scores.means()}
        return line | {"std": self.model.policy.log_std.detach().exp().mean().item()}

    def save(self, path: Path) -> None:
        """Write the whole state."""
        policy = self.model.policy
        tensors = {f"policy.{name}": value for name, value in policy.state_dict().items()}
        tensors |= adam_tensors("adam", policy.optimizer)
        save(path, tensors | self.env.scaling.tensors(), self.header())

    def header(self) -> dict[str, Any]:
        """Return what a checkpoint says of itself."""
        sizes = self.kind.sizes(self.cfg, self.env)
        facts = {"learner": self.kind.name, "env": self.cfg.env, "env_steps": self.env_steps, "leg": self.leg}
        return facts | {"sizes": sizes, "train": dataclasses.asdict(self.cfg)}

    def export(self, path: Path) -> None:
        """Write what deployment needs and no more: the actor, the scales, typical inputs."""
        tensors = actor_tensors(self.kind.name, self.model.policy) | self.env.scaling.tensors()
        log_std = self.model.policy.log_std
        inputs = self.kind.calibration(torch.from_numpy(self._play()))
        save(path, tensors | {"log_std": log_std, "calibration.inputs": inputs}, self.header())

    def _play(self) -> Array:
        """Return scaled observations (steps, arms, n_obs) of one rollout without exploration."""
        self.env.seed(_seed(self.cfg.seed, 2**20))
        seen, state, start = [np.asarray(self.env.reset())], None, np.ones(self.cfg.arms, dtype=bool)
        while True:
            action, state = self.model.predict(seen[-1], state, start, deterministic=True)
            observation, _, done, _ = self.env.step(action)
            if done.all():
                return np.stack(seen)
            seen.append(np.asarray(observation))
            start = done


def resume(kind: Kind, cfg: Any, path: Path) -> RlTrainer:
    """Return the trainer that `RlTrainer.save` wrote; only how long the run is may differ.

    Raises:
        ValueError: The checkpoint is of a run with other settings.
    """
    tensors, header = load(path)
    ours, theirs = dataclasses.asdict(cfg), header.get("train", {})
    other = {k: (theirs.get(k), ours.get(k)) for k in ours | theirs if theirs.get(k) != ours.get(k)}
    if cfg.rate_left == 1.0:
        other.pop("env_steps", None)
    if header.get("learner") != kind.name or other:
        raise ValueError(
            f"{path} is of a run with other settings (there, here): {other or header.get('learner')}; "
            "resume with the same ones; --env-steps may be more where the rate is constant"
        )
    trainer = RlTrainer(kind, cfg, scaling_of(tensors))
    policy = trainer.model.policy
    policy.load_state_dict(check_arrays("the policy", under("policy.", tensors), policy.state_dict()))
    policy.optimizer.load_state_dict(adam_state("adam", policy.optimizer, tensors))
    trainer.leg, trainer.model.num_timesteps = entries(path, header, "leg", "env_steps")
    return trainer


class Scores(BaseCallback):
    """Means over the episodes (RL2: trials) of a leg, as their final infos have them."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        for index in np.flatnonzero(self.locals["dones"]):
            info = self.locals["infos"][index]
            row = {name: float(info[name]) for name in ("tip_m", "rmse_rad", "success") if name in info}
            self._rows.append(row | {"return": float(info["episode"]["r"])})
        return True

    def means(self) -> dict[str, float]:
        """Return the means by name."""
        return {name: float(np.mean([row[name] for row in self._rows])) for name in self._rows[0]}


def _seed(seed: int, leg: int) -> int:
    """Return the seed of a leg: arm i takes it plus i."""
    return int(np.random.SeedSequence([seed, leg]).generate_state(1)[0] % 2**31)
