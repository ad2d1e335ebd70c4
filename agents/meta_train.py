"""Meta-training of the delta learner: rounds of closed-loop episodes, then gradient steps on what they showed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoint import learner_header, learner_tensors, load, restore_learner, save
from .delta import DeltaCfg, DeltaLearner, command_trace, head_increment
from .episodes import check_seed
from .experience import Experience, command_spread, gather
from .network import NetworkCfg
from .outer import NoiseCfg, error_filter, predicted_rmse
from .policy import Lesson


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
    random_features: bool = False
    """Leave the feature layers as drawn: the control that shows what meta-training the features is worth."""
    seed: int = 0
    """Seed of everything: network, bodies, references, batches."""
    threads: int = 2
    """Threads of torch and of the physics; results are equal to the bit for equal numbers only."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("rounds", "bodies", "steps", "batch", "threads", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 < self.rate <= 1.0:
            raise ValueError(f"rate must be above 0 and at most 1, got {self.rate}")
        if not 0.0 < self.clip < math.inf:
            raise ValueError(f"clip must be positive and finite, got {self.clip}")
        if not 0.0 <= self.first_weight < math.inf:
            raise ValueError(f"first_weight must be 0 or more and finite, got {self.first_weight}")
        if self.warm_rounds < 0:
            raise ValueError(f"warm_rounds must be at least 0, got {self.warm_rounds}")
        if self.features < 2:
            raise ValueError(f"features must be at least 2 (one is constant), got {self.features}")
        check_seed(self.seed)
        if self.episodes < 2:
            raise ValueError(f"episodes must be at least 2 (one lesson between them), got {self.episodes}")


class MetaTrainer:
    """The state of a meta-training run, whole after every round."""

    def __init__(self, cfg: MetaTrainCfg, env: Any, split_tasks: Callable[[int, int], list[Any]]) -> None:
        """Start a run.

        Args:
            cfg: The run.
            env: Vector environment of `cfg.bodies` arms.
            split_tasks: From a number and a seed to that many training tasks.
        """
        self.cfg, self.env, self._tasks = cfg, env, split_tasks
        arm = env.unwrapped.arm_cfg
        network = NetworkCfg(arm.n_joints, tuple(arm.parallel_joints), cfg.hidden, cfg.features)
        scale = command_spread(env, split_tasks(cfg.bodies, cfg.seed), cfg.seed)
        self.learner = DeltaLearner(network, DeltaCfg(), scale)
        self.learner.draw(torch.Generator().manual_seed(cfg.seed))
        self.round = 0
        self.calibration: dict[str, Tensor] = {}
        frozen = ("fixed.first", "fixed.second", "fixed.feature") if cfg.random_features else ()
        self._free = (
            [p for n, p in self.learner.named_parameters() if not n.startswith(frozen)]
            if frozen
            else list(self.learner.parameters())
        )
        self._adam = torch.optim.Adam(self._free, lr=cfg.rate)

    def run_round(self) -> dict[str, Any]:
        """Gather, learn, count up; return what a log line needs."""
        cfg = self.cfg
        seed = cfg.seed * 1_000_003 + self.round
        data = gather(
            self.env,
            self.learner,
            self._tasks(cfg.bodies, seed),
            cfg.episodes,
            warm=self.round < cfg.warm_rounds,
            seed=seed,
        )
        generator = torch.Generator().manual_seed(seed)
        predicted = [self._step(data, index, generator) for index in range(cfg.steps)]
        self.round += 1
        self.calibration = working_range(self.learner, data)
        return {
            "round": self.round,
            "rmse_rad": data.rmse_rad.mean(0).tolist(),
            "predicted_rmse_rad": torch.stack(predicted).mean(0).tolist(),
            "head_range": self.calibration["head_range"].tolist(),
        }

    def _step(self, data: Experience, index: int, generator: torch.Generator) -> Tensor:
        """Take one gradient step; return the predicted error per episode."""
        cfg = self.cfg
        done = self.round + index / cfg.steps
        for group in self._adam.param_groups:
            group["lr"] = cfg.rate * 0.5 * (1 + math.cos(math.pi * done / cfg.rounds))
        chosen = torch.randperm(data.command.shape[0], generator=generator)[: cfg.batch]
        arm = self.env.unwrapped.arm_cfg
        response = error_filter(data.command.shape[2], arm.dt_s, arm.kp_per_s2, arm.kd_per_s)
        errors = predicted_rmse(self.learner, data[chosen], response, cfg.noise, generator).mean(0)
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
        for index, state in self._adam.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
        save(
            path,
            tensors,
            learner_header(self.learner, self.cfg.env, round=self.round, train=dataclasses.asdict(self.cfg)),
        )

    def resume(self, path: Path) -> None:
        """Take up the state that `save` wrote.

        Raises:
            ValueError: The checkpoint is of a run with other settings.
        """
        tensors, header = load(path)
        ours = dataclasses.asdict(self.cfg)
        theirs = header.get("train", {})
        other = {k: (theirs.get(k), ours.get(k)) for k in ours | theirs if theirs.get(k) != ours.get(k)}
        if other:
            raise ValueError(
                f"{path} is of a run with other settings (there, here): {other}; resume with the same ones"
            )
        self.learner.load_state_dict(restore_learner(tensors, header).state_dict())
        self.round = header["round"]
        self.calibration = {n[len("calibration.") :]: v for n, v in tensors.items() if n.startswith("calibration.")}
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("adam."):
                _, index, key = name.split(".")
                state.setdefault(int(index), {})[key] = value
        self._adam.load_state_dict({**self._adam.state_dict(), "state": state})


def export(path: Path, trainer: MetaTrainer) -> None:
    """Write what deployment needs and no more: the learner and its working ranges."""
    tensors = learner_tensors(trainer.learner) | {f"calibration.{n}": v for n, v in trainer.calibration.items()}
    header = learner_header(
        trainer.learner, trainer.cfg.env, round=trainer.round, train=dataclasses.asdict(trainer.cfg)
    )
    save(path, tensors, header)


@torch.no_grad()
def working_range(learner: DeltaLearner, data: Experience, quantile: float = 0.999) -> dict[str, Tensor]:
    """Return what deployment is calibrated with: encoded inputs, and the ranges that adapted heads reach.

    Returns:
        inputs: (256, n_inputs), spread over bodies and episodes. head_range: (J,), `quantile` of adapted |weight|.
        head_output: (J,), `quantile` of the adapted head's |output|.
    """
    wanted, measured = learner.fixed(data.wanted), learner.fixed(data.measured)
    head = learner.head.expand(data.command.shape[0], -1, -1)
    trace = command_trace(data.command, learner.trace)
    heads, outputs = [head], []
    for k in range(data.command.shape[1]):
        outputs.append(wanted.features[:, k] @ head.transpose(-1, -2))
        said = measured.features[:, k] @ head.transpose(-1, -2)
        outputs.append(said)
        lesson = Lesson(measured.features[:, k], trace[:, k], measured.command[:, k], said)
        head = head + head_increment(lesson, learner.rate, learner.rule)
        heads.append(head)
    spread = torch.stack(heads).abs().permute(2, 0, 1, 3).flatten(1)  # (J, all)
    output = torch.stack(outputs).abs().flatten(0, -2).T  # (J, all)
    inputs = data.wanted.flatten(0, 2)
    every = max(1, inputs.shape[0] // 256)
    return {
        "inputs": inputs[::every][:256].clone(),
        "head_range": _upper(spread, quantile),
        "head_output": _upper(output, quantile),
    }


def _upper(values: Tensor, quantile: float) -> Tensor:
    """Return a quantile along the last axis; sorting, since torch.quantile refuses large inputs."""
    ordered = values.sort(dim=-1).values
    return ordered[..., min(ordered.shape[-1] - 1, int(quantile * ordered.shape[-1]))].clone()
