"""The reward learner's policy at work: explores, remembers what it read, and after each episode writes once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .episodes import Array, Episode
from .policy import Substrate
from .reward import Lesson, RewardLearner
from .reward_echo import OwnCommands
from .reward_lateness import led
from .reward_sense import HISTORY, encode, sense


class RewardPolicy:
    """Acts by mean commands and exploration on a substrate of matrices; signals and their sums are digital."""

    def __init__(
        self,
        learner: RewardLearner,
        substrate: Substrate,
        unpack: Any,
        generator: torch.Generator,
        *,
        explores: int | None = None,
        plastic: bool = True,
    ) -> None:
        """Put a learner on a substrate.

        Args:
            learner: Scales, rates and signals (its matrices are not read: the substrate holds them).
            substrate: What the matrices live on.
            unpack: From observations to their parts by name.
            generator: Draws the exploration.
            explores: Episodes with exploration; those after them go by the mean. None: all explore.
            plastic: False: never write.
        """
        self._learner, self._substrate, self._unpack = learner, substrate, unpack
        self._generator, self._explores, self._plastic = generator, explores, plastic
        self._number = -1
        self._velocities: Tensor | None = None
        self._before: Any = None
        self._encoded: list[Tensor] = []
        self._own: OwnCommands | None = None
        self._heard: list[Tensor] = []
        self._features: list[Tensor] = []
        self._commands: list[Tensor] = []
        self._means: list[Tensor] = []

    @property
    def spread(self) -> Tensor:
        """Standard deviation of the exploration in the present episode, in network units."""
        spread = self._learner.spread
        quiet = self._explores is not None and self._number >= self._explores
        return torch.zeros(()) if quiet else spread[min(self._number, len(spread) - 1)]

    def begin(self) -> None:
        """Begin an episode: forget the readings of the last one."""
        self._number += 1
        self._features, self._commands, self._means, self._heard = [], [], [], []
        self._velocities, self._before, self._encoded = None, None, []

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """Return actions (N, J) for observations (N, n_obs)."""
        learner = self._learner
        seen = self._unpack(torch.from_numpy(np.asarray(observation, dtype=np.float32))[:, None])
        now = encode(learner.network, self._led(seen), self._earlier(seen.qd_rad_s))
        self._encoded.append(now[:, 0])
        features = self._substrate.fixed(torch.cat([now, self._hear()], dim=-1)).features
        mean = learner.mean(self._substrate.head(features))[:, 0]
        command = mean + self.spread * torch.randn(mean.shape, generator=self._generator)
        self._features.append(features[:, 0])
        self._means.append(mean)
        self._commands.append(command)
        self._book_acting()
        return (command * learner.action_scale).clamp(-1.0, 1.0).numpy()

    def _led(self, seen: Any) -> Any:
        """Return what was seen (N, 1, ...), with places where they will be when a late body acts; remember it."""
        if self._own is None:
            self._own = OwnCommands(self._learner, len(seen.q_rad))
        before, self._before = self._before or seen, seen
        return led(seen, before, self._own.late)

    def _hear(self) -> Tensor:
        """Return what is heard of the last commands, (N, 1, n_heard), and remember it."""
        assert self._own is not None
        self._heard.append(self._own.hear(self._commands))
        return self._heard[-1][:, None]

    @property
    def correlation(self) -> Tensor:
        """How the bodies answered commands in earlier episodes, (N, 2, answers, J, J).

        Raises:
            ValueError: It has not acted yet.
        """
        if self._own is None:
            raise ValueError("a policy that has not acted has heard nothing")
        return self._own.correlation

    def _earlier(self, qd_rad_s: Tensor) -> Tensor:
        """Return the last velocities seen, (N, 1, HISTORY, J), and remember the present ones (N, 1, J)."""
        before = self._velocities
        if before is None:
            before = qd_rad_s[:, :, None].expand(-1, -1, HISTORY, -1)
        self._velocities = torch.cat([qd_rad_s[:, :, None], before[:, :, :-1]], dim=2)
        return before

    @torch.no_grad()
    def learn(self, episode: Episode) -> Any:
        """Write what the episode teaches; its activity is what was read while acting."""
        return self._substrate.write(self.increment(episode)) if self._plastic else None

    def increment(self, episode: Episode) -> Tensor:
        """Return what the episode adds to the heads, (N, J, D), and hear how the bodies answered in it."""
        lesson = self.lesson(episode)
        self._book_lesson(lesson)
        assert self._own is not None
        self._own.attend(lesson)
        step = self._learner.lesson_increment(lesson._replace(correlation=self.correlation))
        self._own.count(step)
        return step

    def lesson(self, episode: Episode) -> Lesson:
        """Return the episode as the signals see it, with the answers heard in episodes before it."""
        seen = torch.from_numpy(episode.observation.astype(np.float32))
        reward = torch.from_numpy(episode.reward.astype(np.float32))
        sensed = sense(self._learner.network, self._unpack, seen, reward)
        heard = torch.stack(self._heard, dim=1)
        return Lesson(sensed, heard, self.features, self._learner.cut(self.commands), self.means, self.correlation)

    @property
    def encoded(self) -> Tensor:
        """What the fixed layers read of the arm so far in this episode, (N, T, n_encoded)."""
        return torch.stack(self._encoded, dim=1)

    @property
    def features(self) -> Tensor:
        """Activity read so far in this episode, (N, T, D)."""
        return torch.stack(self._features, dim=1)

    @property
    def commands(self) -> Tensor:
        """Commands so far, exploration included, (N, T, J), in network units, before actions are cut."""
        return torch.stack(self._commands, dim=1)

    @property
    def means(self) -> Tensor:
        """Mean commands so far, (N, T, J), in network units."""
        return torch.stack(self._means, dim=1)

    def _book_acting(self) -> None:
        """Book what is digital in one step."""
        cfg = self._learner.network
        angles = cfg.n_joints + len(cfg.parallel_joints) - 1
        self._substrate.digital("sines", 2 * angles)
        self._substrate.digital("tanhs", 2 * cfg.hidden + cfg.n_features - 1 + 2 * cfg.n_joints)
        echo = cfg.n_joints**2 if cfg.echoes else 0
        ahead = cfg.n_joints + cfg.n_axes if cfg.looks_ahead else 0
        self._substrate.digital("law_and_scaling_macs", cfg.n_inputs + 2 * cfg.n_joints + echo + ahead)

    def _book_lesson(self, lesson: Lesson) -> None:
        """Book the signals and the outer products of an episode; the network of signals is digital."""
        cfg, (n_steps, n_features) = self._learner.network, lesson.features.shape[1:]
        weights = sum(p.numel() for p in self._learner.signals.parameters())
        sums = cfg.n_joints * (n_features + cfg.n_modulators + cfg.n_taught + 2 * cfg.answers * cfg.n_joints)
        self._substrate.digital("outer_product_macs", n_steps * (weights + sums))
        self._substrate.digital("tanhs", n_steps * (2 * cfg.gates + cfg.n_joints))
