"""Meta-training of the delta learner and its kin: rounds of closed-loop episodes, then gradient steps on them."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .adam import adam_state, adam_tensors
from .budget import env_steps
from .checkpoint import check_settings, entries, learner_header, learner_tensors, load, load_of, restore, save, under
from .checks import check_at_least
from .episodes import check_seed
from .experience import Experience, command_spread, gather
from .methods import DELTA, Method
from .network import NetworkCfg
from .outer import NoiseCfg, error_filter


@dataclass(frozen=True)
class MetaTrainCfg:
    """Meta-training in software."""

    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id of the family of tasks."""
    rounds: int = 150
    """Rounds of gathering and learning; the learning rate falls to zero over them."""
    warm_rounds: int = 8
    """First rounds, in which blends of nominal controller and oracle drive the arms."""
    bodies: int = 192
    """Bodies drawn anew in each round, all from the training split."""
    episodes: int = 6
    """Successive episodes on each body: one before any lesson, the rest after 1, 2, ... lessons."""
    steps: int = 40
    """Gradient steps in each round."""
    batch: int = 48
    """Bodies in one gradient step."""
    rate: float = 3e-3
    """Adam's rate at the start."""
    clip: float = 1.0
    """Largest norm of one gradient."""
    first_weight: float = 0.3
    """Weight of the error before any lesson in the loss; every later episode has weight 1."""
    hidden: int = 64
    """Width of the hidden layers."""
    features: int = 48
    """Features that the plastic head reads."""
    noise: NoiseCfg = field(default_factory=NoiseCfg)
    """Stand-ins for the chip."""
    taught: float = 0.0
    """Share of the bodies whose trial begins, once the learner drives the arms itself, with the head that another body
    left at the end of the round before (its own trial may have begun so): for bodies that change in mid-life."""
    start: str | None = None
    """Checkpoint of the same kind and sizes to begin with, which needs no warm rounds; default: weights drawn anew."""
    random_features: bool = False
    """Leave the feature layers as drawn: the control that shows what meta-training the features is worth."""
    seed: int = 0
    """Seed of everything: network, bodies, references, batches."""
    threads: int = 2
    """Threads of torch and of the physics; results are equal to the bit for equal numbers only."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_at_least(1, self, "rounds", "bodies", "steps", "batch", "threads", "hidden")
        if not 0.0 < self.rate <= 1.0:
            raise ValueError(f"rate must be above 0 and at most 1, got {self.rate}")
        if not 0.0 < self.clip < math.inf:
            raise ValueError(f"clip must be positive and finite, got {self.clip}")
        if not 0.0 <= self.first_weight < math.inf:
            raise ValueError(f"first_weight must be 0 or more and finite, got {self.first_weight}")
        if self.warm_rounds < 0:
            raise ValueError(f"warm_rounds must be at least 0, got {self.warm_rounds}")
        if not 0.0 <= self.taught <= 1.0:
            raise ValueError(f"taught must be a share, 0 to 1, got {self.taught}")
        if self.features < 2:
            raise ValueError(f"features must be at least 2 (one is constant), got {self.features}")
        check_seed(self.seed)
        if self.episodes < 2:
            raise ValueError(f"episodes must be at least 2 (one lesson between them), got {self.episodes}")


class MetaTrainer:
    """The state of a meta-training run, whole after every round."""

    def __init__(
        self, cfg: MetaTrainCfg, env: Any, split_tasks: Callable[[int, int], list[Any]], method: Method = DELTA
    ) -> None:
        """Start a run.

        Args:
            cfg: The run.
            env: Vector environment of `cfg.bodies` arms.
            split_tasks: From a number and a seed to that many training tasks.
            method: What learns.
        """
        if cfg.taught > 0 and method.added is None:
            raise ValueError(f"taught must be 0 for this learner, got {cfg.taught}: its bodies leave no head behind")
        self.cfg, self.env, self._tasks, self.method = cfg, env, split_tasks, method
        arm = env.unwrapped.arm_cfg
        network = NetworkCfg(arm.n_joints, tuple(arm.parallel_joints), cfg.hidden, cfg.features)
        scale = command_spread(env, split_tasks(cfg.bodies, cfg.seed), cfg.seed)
        self.learner = method.build(network, scale)
        self.learner.draw(torch.Generator().manual_seed(cfg.seed))
        self._steps_before = 0
        if cfg.start is not None:
            self._steps_before = env_steps(self._take_over(Path(cfg.start))) or 0
        self.round = 0
        self.calibration: dict[str, Tensor] = {}
        self._left: Tensor | None = None  # (B, J, D) what the last round's lessons added to each head
        frozen = ("fixed.first", "fixed.second", "fixed.feature") if cfg.random_features else ()
        self._free = (
            [p for n, p in self.learner.named_parameters() if not n.startswith(frozen)]
            if frozen
            else list(self.learner.parameters())
        )
        self._adam = torch.optim.Adam(self._free, lr=cfg.rate)

    def _take_over(self, path: Path) -> dict[str, Any]:
        """Take the learner of a checkpoint, its unit of actions included; return the checkpoint's header.

        Raises:
            FileNotFoundError: No such file.
            ValueError: It is of another env, kind or size.
        """
        tensors, header = load_of(path, self.cfg.env)
        theirs = restore(tensors, header, self.method.kind, lambda network, rule, scale: copy.deepcopy(self.learner))
        self.learner.load_state_dict(theirs.state_dict())
        return header

    def run_round(self) -> dict[str, Any]:
        """Gather, learn, count up; return what a log line needs."""
        cfg = self.cfg
        seed = cfg.seed * 1_000_003 + self.round
        warm = self.round < cfg.warm_rounds
        added = None if warm else self._inherited(seed)
        policy: Any = self.method.policy
        policy = policy if added is None else functools.partial(policy, added=added)
        tasks = self._tasks(cfg.bodies, seed)
        data = gather(self.env, self.learner, policy, tasks, cfg.episodes, warm=warm, seed=seed)
        data = data._replace(added=added)
        generator = torch.Generator().manual_seed(seed)
        predicted = [self._step(data, index, generator) for index in range(cfg.steps)]
        self.round += 1
        self.calibration = self.method.measure(self.learner, data)
        if cfg.taught > 0 and self.method.added is not None:
            self._left = self.method.added(self.learner, data)
        line = {
            "round": self.round,
            "rmse_rad": data.rmse_rad.mean(0).tolist(),
            "predicted_rmse_rad": torch.stack(predicted).mean(0).tolist(),
        }
        ranges = {name: value.tolist() for name, value in self.calibration.items() if name == "head_range"}
        return line | ranges

    def _inherited(self, seed: int) -> Tensor | None:
        """Return what each body's head begins with beyond the learned start, (B, J, D): the first bodies inherit."""
        if self._left is None:
            return None
        order = torch.randperm(self.cfg.bodies, generator=torch.Generator().manual_seed(seed))
        inherited = self._left[order]
        inherited[round(self.cfg.taught * self.cfg.bodies) :] = 0.0
        return inherited

    def finish(self) -> None:
        """Do what is left once all rounds are over, on training bodies no round has drawn."""
        seed = self.cfg.seed * 1_000_003 + self.cfg.rounds
        tasks = self._tasks(self.cfg.bodies, seed)
        self.calibration |= self.method.finish(self.env, self.learner, tasks, self.cfg.episodes, seed)

    def _step(self, data: Experience, index: int, generator: torch.Generator) -> Tensor:
        """Take one gradient step; return the predicted error per episode."""
        cfg = self.cfg
        done = self.round + index / cfg.steps
        for group in self._adam.param_groups:
            group["lr"] = cfg.rate * 0.5 * (1 + math.cos(math.pi * done / cfg.rounds))
        chosen = torch.randperm(data.command.shape[0], generator=generator)[: cfg.batch]
        arm = self.env.unwrapped.arm_cfg
        response = error_filter(data.command.shape[2], arm.dt_s, arm.kp_per_s2, arm.kd_per_s)
        errors = self.method.predict(self.learner, data[chosen], response, cfg.noise, generator).mean(0)
        weight = torch.ones_like(errors)
        weight[0] = cfg.first_weight
        self._adam.zero_grad()
        (errors * weight).sum().backward()
        torch.nn.utils.clip_grad_norm_(self._free, cfg.clip)
        self._adam.step()
        return errors.detach()

    def save(self, path: Path) -> None:
        """Write the whole state; a run resumed from it ends as if it had never stopped."""
        tensors = learner_tensors(self.learner) | {f"calibration.{n}": v for n, v in self.calibration.items()}
        tensors |= adam_tensors("adam", self._adam)
        if self._left is not None:
            tensors["left"] = self._left
        save(path, tensors, self.header())

    def header(self) -> dict[str, Any]:
        """Return what a checkpoint of this run says of itself."""
        train = dataclasses.asdict(self.cfg)
        header = learner_header(self.learner, self.cfg.env, self.method.kind, round=self.round, train=train)
        if self.cfg.start is None:
            return header
        return header | {"env_steps": self._steps_before + (env_steps(header) or 0)}

    def resume(self, path: Path) -> None:
        """Take up the state that `save` wrote.

        Raises:
            ValueError: The checkpoint is of a run with other settings.
        """
        tensors, header = load(path)
        check_settings(path, settings(header), settings(self.header()))
        (done,), adam = entries(path, header, "round"), adam_state("adam", self._adam, tensors)
        self._take_over(path)  # all that comes after cannot fail
        self.round, self._left = done, tensors.get("left")
        self.calibration = under("calibration.", tensors)
        self._adam.load_state_dict(adam)


def settings(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's settings by name; those of its rule say so, since both have a rate.

    A run from before a setting was there had its default.
    """
    rule = {f"rule.{name}": value for name, value in header.get("rule", {}).items()}
    return {"taught": 0.0, "start": None, **header.get("train", {}), **rule}


def export(path: Path, trainer: MetaTrainer) -> None:
    """Write what deployment needs and no more: the learner and its working ranges."""
    tensors = learner_tensors(trainer.learner) | {f"calibration.{n}": v for n, v in trainer.calibration.items()}
    save(path, tensors, trainer.header())
