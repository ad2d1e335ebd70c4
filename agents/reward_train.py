"""Meta-training of the reward learner: rounds of whole trials, then the outer loop's passes over them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .adam import adam_state, adam_tensors
from .checkpoint import check_arrays, check_settings, entries, load, save, under
from .checks import check_at_least
from .episodes import check_seed
from .network import initialise
from .reward import RewardLearner
from .reward_calibration import working_range
from .reward_chain import nominal_chain
from .reward_checkpoint import restore_reward, reward_header
from .reward_critic import PLACES, Critic, truth_of
from .reward_noise import HardwareCfg
from .reward_ppo import Optimiser, PPOCfg, prepare
from .reward_sense import RewardCfg
from .reward_trials import Trials, gather_trials

KNOWN_BODIES = 512  # training bodies that the critic's scales are taken from


@dataclass(frozen=True)
class RewardTrainCfg:
    """Meta-training from reward alone, in software."""

    env: str = "envs:PhaseArm/PlanarReach-v0"
    """Registered id of the family of tasks."""
    env_steps: int = 10_000_000
    """Control steps of single arms, all rounds together."""
    trials: int = 128
    """Bodies drawn anew in each round, all from the training split; each plays a trial."""
    episodes: int = 4
    """Episodes of a trial: one before any write, the rest after 1, 2, ... writes."""
    steps: int = 50
    """Control steps of an episode."""
    spread: tuple[float, ...] = (0.9, 0.8, 0.7, 0.6)
    """Standard deviation of the exploration in each episode of a trial at the start of the run, in network units."""
    spread_end: tuple[float, ...] = (0.5, 0.35, 0.25, 0.2)
    """The same when `narrowed` of the run is done; in between, the logarithm falls in proportion."""
    narrowed: float = 0.7
    """Share of the run after which the exploration stays as it is."""
    action_unit: float = 0.25
    """Action that one network unit stands for, of every motor."""
    hidden: int = 64
    """Width of the policy's hidden layers."""
    features: int = 65
    """Features that the plastic head reads."""
    echoes: int = 3
    """Own commands of the last steps that the policy hears, as the joints got them by the wiring found; 0: none."""
    answers: int = 4
    """Lags at which it is heard how the body answered commands in earlier episodes; 0: not heard, so neither does the
    policy look ahead nor do answers teach."""
    looks_ahead: bool = True
    """Whether the lateness that the answers show aligns lessons in time and leads the policy."""
    answers_teach: bool = True
    """Whether signals are told how each joint has answered an output's commands."""
    answers_kept: float = 0.5
    """Share of what was heard of answers that is kept from one episode to the next."""
    pulls: bool = True
    """Whether policy and signals are told the way to the goal as pulls at the nominal arm's joints."""
    gates: int = 64
    """Width of the layers of the network of signals."""
    shared_motors: bool = True
    """One set of modulators for all outputs."""
    learned_start: bool = False
    """Whether the head that lessons begin with is learned; else it is 0: without a lesson nothing is known."""
    ppo: PPOCfg = field(default_factory=PPOCfg)
    """The outer loop."""
    hardware: HardwareCfg = field(default_factory=HardwareCfg)
    """What meta-training knows of the chip."""
    seed: int = 0
    """Seed of everything: networks, bodies, goals, exploration, batches."""
    threads: int = 1
    """Threads of torch and of the physics; results are equal to the bit for equal numbers only."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_at_least(1, self, "trials", "steps", "hidden", "gates", "threads")
        if self.episodes < 2:
            raise ValueError(f"episodes must be at least 2 (one write between them), got {self.episodes}")
        if self.env_steps < self.steps_per_round:
            raise ValueError(
                f"env_steps must be at least {self.steps_per_round}, those of one round, got {self.env_steps}"
            )
        for name in ("spread", "spread_end"):
            values = getattr(self, name)
            if len(values) != self.episodes or not all(0.0 < s < math.inf for s in values):
                raise ValueError(f"{name} must be {self.episodes} positive and finite numbers, got {values}")
        if not 0.0 < self.narrowed <= 1.0:
            raise ValueError(f"narrowed must be above 0 and at most 1, got {self.narrowed}")
        if not 0.0 < self.action_unit <= 1.0:
            raise ValueError(f"action_unit must be above 0 and at most 1, got {self.action_unit}")
        check_seed(self.seed)

    @property
    def steps_per_round(self) -> int:
        """Control steps of one round."""
        return self.trials * self.episodes * self.steps

    @property
    def rounds(self) -> int:
        """Whole rounds within `env_steps`."""
        return self.env_steps // self.steps_per_round

    def ceiling(self, number: int) -> float:
        """Return the factor on the rates in round `number`: large steps find the rule, small ones its gains."""
        return (1.0 - number / self.rounds) ** 2

    def spread_in(self, number: int) -> Tensor:
        """Return the standard deviations of the exploration in round `number`, (episodes,)."""
        share = min(1.0, number / self.rounds / self.narrowed)
        start, end = torch.tensor(self.spread).log(), torch.tensor(self.spread_end).log()
        return torch.lerp(start, end, share).exp()


class RewardTrainer:
    """The state of a run, whole after every round."""

    def __init__(self, cfg: RewardTrainCfg, env: Any, sample: Callable[[int, int], list[Any]]) -> None:
        """Start a run.

        Args:
            cfg: The run.
            env: Vector environment of `cfg.trials` arms.
            sample: From a number and a seed to that many training tasks.
        """
        self.cfg, self.env, self._sample = cfg, env, sample
        arm, n_axes = env.unwrapped.arm_cfg, env.unwrapped.unpack(env.observation_space.low).goal_m.shape[-1]
        network = RewardCfg(
            arm.n_joints,
            n_axes,
            tuple(arm.parallel_joints),
            nominal_chain(arm) if cfg.pulls else (),
            tuple(arm.workspace.axes) if cfg.pulls else (),
            cfg.hidden,
            cfg.features,
            cfg.gates,
            echoes=cfg.echoes,
            answers=cfg.answers,
            looks_ahead=cfg.looks_ahead and cfg.answers > 0,
            answers_teach=cfg.answers_teach and cfg.answers > 0,
            answers_kept=cfg.answers_kept,
            shared_motors=cfg.shared_motors,
        )
        self.learner = RewardLearner(network, cfg.spread, torch.full((arm.n_joints,), cfg.action_unit))
        self.learner.head.requires_grad_(cfg.learned_start)
        generator = torch.Generator().manual_seed(cfg.seed)
        self.learner.draw(generator)
        known = truth_of(sample(KNOWN_BODIES, cfg.seed), arm.n_joints)
        self.critic = Critic(network, known, cfg.episodes)
        initialise(self.critic, generator)
        self.optimiser = Optimiser(self.learner, self.critic, cfg.ppo)
        self.round = 0
        self.calibration: dict[str, Tensor] = {}

    @property
    def env_steps(self) -> int:
        """Control steps so far."""
        return self.round * self.cfg.steps_per_round

    def run_round(self) -> dict[str, Any]:
        """Play, learn, count up; return what a log line needs."""
        cfg, unpack = self.cfg, self.env.unwrapped.unpack
        seed = cfg.seed * 1_000_003 + self.round
        self.learner.spread.copy_(cfg.spread_in(self.round))
        tasks = self._sample(cfg.trials, seed)
        trials = gather_trials(self.env, self.learner, tasks, cfg.episodes, cfg.hardware, seed)
        truth = truth_of(tasks, self.learner.network.n_joints)
        if self.round == 0:
            self.critic.look_at(
                working_range(self.learner, trials)["inputs"][:: 256 // PLACES, : self.learner.network.n_encoded]
            )
        data = prepare(self.learner, self.critic, unpack, trials, truth, cfg.ppo)
        self.critic.fit_scale(data.returns, 1.0 if self.round == 0 else 0.05)
        generator = torch.Generator().manual_seed(seed)
        moved = self.optimiser.run(data, generator, cfg.hardware.write_cost, cfg.ceiling(self.round))
        self.round += 1
        self.calibration = working_range(self.learner, trials)
        return self._line(trials, data.advantage, moved)

    def _line(self, trials: Trials, advantage: Tensor, moved: float) -> dict[str, Any]:
        """Return what a round showed."""
        return {
            "round": self.round,
            "env_steps": self.env_steps,
            "error": trials.error.mean(0).tolist(),
            "reward": trials.reward.mean(dim=(0, 2)).tolist(),
            "divergence": moved,
            "rate": self.optimiser.rate,
            "head_range": self.calibration["head_range"].tolist(),
        }

    def save(self, path: Path) -> None:
        """Write the whole state; a run resumed from it ends as if it had never stopped."""
        tensors = {f"learner.{n}": v for n, v in self.learner.state_dict().items()}
        tensors |= {f"critic.{n}": v for n, v in self.critic.state_dict().items()}
        tensors |= {f"calibration.{n}": v for n, v in self.calibration.items()}
        for name, adam in self._adams.items():
            tensors |= adam_tensors(name, adam)
        save(path, tensors, self._header(rate=self.optimiser.rate))

    def resume(self, path: Path) -> None:
        """Take up the state that `save` wrote.

        Raises:
            ValueError: The checkpoint is of a run with other settings.
        """
        tensors, header = load(path)
        check_settings(path, header.get("train", {}), _plain(self.cfg))
        learner = check_arrays("the learner", restore_reward(tensors, header).state_dict(), self.learner.state_dict())
        critic = check_arrays("the critic", under("critic.", tensors), self.critic.state_dict())
        adams = {name: adam_state(name, adam, tensors) for name, adam in self._adams.items()}
        done, rate = entries(path, header, "round", "rate")
        self.learner.load_state_dict(learner)  # from here on nothing can fail
        self.critic.load_state_dict(critic)
        self.calibration = under("calibration.", tensors)
        self.round, self.optimiser.rate = done, rate
        for name, adam in self._adams.items():
            adam.load_state_dict(adams[name])

    def export(self, path: Path) -> None:
        """Write what deployment needs and no more: the learner and its working ranges."""
        tensors = {f"learner.{n}": v for n, v in self.learner.state_dict().items()}
        save(path, tensors | {f"calibration.{n}": v for n, v in self.calibration.items()}, self._header())

    @property
    def _adams(self) -> dict[str, torch.optim.Adam]:
        return {"adam": self.optimiser.adam, "critic_adam": self.optimiser.critic_adam}

    def _header(self, **more: Any) -> dict[str, Any]:
        run = {"round": self.round, "env_steps": self.env_steps, "train": _plain(self.cfg)}
        return reward_header(self.learner, self.cfg.env, **run, **more)


def _plain(cfg: RewardTrainCfg) -> dict[str, Any]:
    """Return the settings as JSON gives them back."""
    spreads = {name: list(getattr(cfg, name)) for name in ("spread", "spread_end")}
    return {**dataclasses.asdict(cfg), **spreads}
