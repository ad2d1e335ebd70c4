"""The outer loop: proximal policy optimisation over whole trials, with the gradient through every write.

A trial is one long episode of K episodes on one body. The likelihood of what was done in a later episode depends on the
head, hence on every earlier write, hence on features, rates and the network of signals: its gradient is that of the
clipped objective (Schulman et al. 2017, arXiv 1707.06347) through all of them. Minibatches are of whole trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .checks import check_at_least
from .reward import RewardLearner
from .reward_critic import Critic, Truth, critic_inputs
from .reward_trials import Trials, replay


@dataclass(frozen=True)
class PPOCfg:
    """The outer loop's steps."""

    epochs: int = 2
    """Passes over the trials of a round."""
    critic_epochs: int = 2
    """Those of them in which the critic learns too."""
    minibatches: int = 6
    """Parts, of whole trials, that a pass is made in."""
    rate: float = 5e-3
    """Adam's largest rate for the learner; less where steps change the policy too much."""
    critic_rate: float = 1e-3
    """Adam's rate for the critic."""
    divergence: float = 0.03
    """Divergence between the policy that acted and the present one, per step, nats: beyond twice as much the rate
    falls, beyond four times the step is left out, below half of it the rate rises."""
    clip: float = 0.2
    """How far a ratio of likelihoods may leave 1 before it earns no more."""
    gradient_norm: float = 1.0
    """Largest norm of one gradient."""
    discount: float = 0.95
    """Discount per step."""
    trace: float = 0.9
    """Decay of the generalised advantage's trace."""
    discount_between: float = 0.0
    """Discount from the end of an episode to the start of the next on the same body: what an episode teaches is worth
    something to its actions. 0: an episode's end is worth what the arm would earn if it went on."""

    def __post_init__(self) -> None:
        """Refuse what is no optimisation."""
        check_at_least(1, self, "epochs", "critic_epochs", "minibatches")
        for name in ("rate", "critic_rate", "divergence", "clip", "gradient_norm"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        for name in ("discount", "trace", "discount_between"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")


def trial_advantages(reward: Tensor, value: Tensor, cfg: PPOCfg) -> Tensor:
    """Return generalised advantages (B, K, T) over whole trials (Schulman et al. 2016, arXiv 1506.02438).

    Args:
        reward: (B, K, T).
        value: Of every step, and after the last one of each episode, (B, K, T + 1).
        cfg: Discounts.
    """
    n_trials, n_episodes, n_steps = reward.shape
    advantage, ahead = torch.zeros_like(reward), reward.new_zeros(n_trials)
    for k in reversed(range(n_episodes)):
        last = k == n_episodes - 1
        through = cfg.discount_between > 0.0 and not last
        ahead = ahead * cfg.discount_between * cfg.trace if through else torch.zeros_like(ahead)
        for t in reversed(range(n_steps)):
            after = cfg.discount * value[:, k, t + 1]
            if t == n_steps - 1 and through:
                after = cfg.discount_between * value[:, k + 1, 0]
            surprise = reward[:, k, t] + after - value[:, k, t]
            carried = ahead if t == n_steps - 1 else cfg.discount * cfg.trace * ahead
            ahead = surprise + carried
            advantage[:, k, t] = ahead
    return advantage


class Round(NamedTuple):
    """What a round's passes go over."""

    trials: Trials
    inputs: Tensor  # (B, K, T + 1, n) of the critic
    advantage: Tensor  # (B, K, T), of mean 0 and spread 1 in each episode
    returns: Tensor  # (B, K, T)
    likelihood: Tensor  # (B, K, T) logarithm, of the policy that acted


def log_likelihood(command: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Return the logarithm of the likelihood of commands (B, K, T, J) up to a constant, (B, K, T)."""
    scaled = (command - mean) / spread[: mean.shape[1], None, None]
    return -0.5 * scaled.square().sum(dim=-1)


@torch.no_grad()
def prepare(learner: RewardLearner, critic: Critic, unpack: Any, trials: Trials, truth: Truth, cfg: PPOCfg) -> Round:
    """Return a round: values, advantages, likelihoods."""
    inputs = critic_inputs(critic, learner, unpack, trials, truth)
    value = critic(inputs)
    advantage = trial_advantages(trials.reward, value, cfg)
    returns = advantage + value[:, :, :-1]
    spread, mean = advantage.std(dim=(0, 2), keepdim=True), advantage.mean(dim=(0, 2), keepdim=True)
    likelihood = log_likelihood(trials.command, trials.mean, learner.spread)
    return Round(trials, inputs, (advantage - mean) / (spread + 1e-6), returns, likelihood)


class Step(NamedTuple):
    """One minibatch's loss and how far the policy has moved from the one that acted."""

    loss: Tensor
    divergence: float


def policy_step(learner: RewardLearner, data: Round, rows: Tensor, cfg: PPOCfg, write_cost: float) -> Step:
    """Return the loss of a minibatch of trials, differentiable through their writes."""
    trials = data.trials.of(rows)
    again = replay(learner, trials)
    change = log_likelihood(trials.command, again.mean, learner.spread) - data.likelihood[rows]
    ratio, advantage = change.exp(), data.advantage[rows]
    clipped = ratio.clamp(1.0 - cfg.clip, 1.0 + cfg.clip)
    loss = -torch.minimum(ratio * advantage, clipped * advantage).mean() + write_cost * again.written.mean()
    divergence = (ratio - 1.0 - change).clamp(max=0.5).mean()  # of few wild steps, not of all: hence the clamp
    return Step(loss, float(divergence.detach()))


class Optimiser:
    """Adam for learner and critic; the learner's rate follows the divergence."""

    def __init__(self, learner: RewardLearner, critic: Critic, cfg: PPOCfg) -> None:
        """Start slowly: the first steps find out how far a step goes."""
        self._learner, self._critic, self._cfg = learner, critic, cfg
        self.rate = 0.2 * cfg.rate
        self.adam = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], lr=self.rate, eps=1e-5)
        self.critic_adam = torch.optim.Adam(critic.parameters(), lr=cfg.critic_rate, eps=1e-5)

    def run(self, data: Round, generator: torch.Generator, write_cost: float, ceiling: float) -> float:
        """Go over a round; return the mean divergence.

        Args:
            data: The round.
            generator: Draws the minibatches.
            write_cost: Weight of what was written in the loss.
            ceiling: Factor on both rates: they fall towards the end of a run.
        """
        seen = []
        for number in range(self._cfg.epochs):
            order = torch.randperm(data.returns.shape[0], generator=generator)
            for rows in order.chunk(self._cfg.minibatches):
                step = policy_step(self._learner, data, rows, self._cfg, write_cost)
                seen.append(step.divergence)
                self._adapt(step.divergence, first=number == 0)
                if step.divergence < 4.0 * self._cfg.divergence:
                    self._descend(self.adam, self._learner, step.loss, ceiling * self.rate)
                if number < self._cfg.critic_epochs:
                    self._teach_critic(data, rows, ceiling)
        return sum(seen) / len(seen)

    def _teach_critic(self, data: Round, rows: Tensor, ceiling: float) -> None:
        """Take one step of the critic towards the returns."""
        error = (self._critic(data.inputs[rows][:, :, :-1]) - data.returns[rows]) / self._critic.value_width
        self._descend(self.critic_adam, self._critic, error.square().mean(), ceiling * self._cfg.critic_rate)

    def _adapt(self, divergence: float, *, first: bool) -> None:
        """Move the learner's rate; in the first pass a small divergence means nothing yet."""
        if divergence > 2.0 * self._cfg.divergence:
            self.rate = max(1e-5, self.rate / 1.3)
        elif not first and divergence < 0.5 * self._cfg.divergence:
            self.rate = min(self._cfg.rate, 1.1 * self.rate)

    def _descend(self, adam: torch.optim.Adam, module: nn.Module, loss: Tensor, rate: float) -> None:
        for group in adam.param_groups:
            group["lr"] = rate
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), self._cfg.gradient_norm)
        adam.step()
