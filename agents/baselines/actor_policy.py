"""PPO's and RL2's trained policies as controllers of N arms; neither writes a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from envs.trials import trial_observation

from ..bill import Bill
from ..episodes import Array, Episode
from .actor_chip import ChipActor, SoftwareActor, as_observation
from .actors import LstmActor, Trained


class PpoPolicy:
    """What PPO learnt for all bodies at once: the same command for the same observation, in every episode."""

    def __init__(self, trained: Trained, actor: SoftwareActor | ChipActor, interval_s: float = 2.0) -> None:
        """Put a policy on its actor.

        Args:
            trained: For its scales.
            actor: What it lives on.
            interval_s: Time from the beginning of one episode to that of the next, s.
        """
        self._scaling, self._actor, self._interval_s = trained.scaling, actor, interval_s

    def begin(self) -> None:
        """Nothing belongs to one episode."""

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """Return the mean of the policy's actions, (N, J)."""
        command, _ = self._actor(self._scaling.observe(as_observation(observation)))
        return command.clamp(-1.0, 1.0).numpy()

    def learn(self, episode: Episode) -> None:
        """Learn nothing; the chips are an episode older."""
        self._actor.advance(self._interval_s, calibrate=False)

    def bill(self) -> Bill:
        """Return the bill so far, per chip and task."""
        return self._actor.bill()


class Rl2Policy:
    """What RL2 learnt: its LSTM's state runs on from episode to episode and holds what it knows of the body.

    Whoever drives it says what each step earned by `hear`; unheard rewards count as 0.
    """

    def __init__(self, trained: Trained, actor: SoftwareActor | ChipActor, interval_s: float = 2.0) -> None:
        """Begin a trial: nothing is known of the bodies."""
        if not isinstance(trained.actor, LstmActor):
            raise ValueError(f"RL2 needs an LSTM, not {type(trained.actor).__name__}; choose a checkpoint of rl2")
        self._scaling, self._actor, self._interval_s = trained.scaling, actor, interval_s
        self._state: Any = None
        self._action: Array | None = None
        self._reward: Array | None = None
        self._start = True

    def begin(self) -> None:
        """Let an episode begin; nothing is forgotten."""
        self._start = True

    def hear(self, reward: Array) -> None:
        """Take what the last action earned, (N,)."""
        self._reward = np.asarray(reward)

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """Return the mean of the policy's actions, (N, J)."""
        n_arms, n_joints = len(observation), self._scaling.mean.shape[0] - observation.shape[1] - 2
        action = np.zeros((n_arms, n_joints)) if self._action is None else self._action
        reward = np.zeros(n_arms) if self._reward is None else self._reward
        seen = trial_observation(observation, action, reward, np.full(n_arms, self._start))
        command, self._state = self._actor(self._scaling.observe(as_observation(seen)), self._state)
        self._action, self._reward, self._start = command.clamp(-1.0, 1.0).numpy(), None, False
        return self._action

    def learn(self, episode: Episode) -> None:
        """Write nothing: what there is to learn is in the state; the chips are an episode older."""
        self._actor.advance(self._interval_s, calibrate=False)

    def bill(self) -> Bill:
        """Return the bill so far, per chip and task."""
        return self._actor.bill()


def policy_on(trained: Trained, actor: SoftwareActor | ChipActor) -> PpoPolicy | Rl2Policy:
    """Return the controller that a checkpoint's learner needs."""
    return (Rl2Policy if isinstance(trained.actor, LstmActor) else PpoPolicy)(trained, actor)
