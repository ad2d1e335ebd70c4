"""RL2: sb3-contrib's RecurrentPPO on trials of several episodes on one body; its LSTM's state is what adapts.

Duan et al. 2016, "RL2: Fast Reinforcement Learning via Slow Reinforcement Learning" (arXiv:1611.02779).
"""

from __future__ import annotations

from typing import Any

import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.ppo_recurrent.policies import MlpLstmPolicy
from stable_baselines3.common.vec_env.base_vec_env import VecEnv
from torch import Tensor, nn

from envs.trials import TrialVectorEnv

from ..episodes import make_arms
from .ppo import common
from .rl_cfg import Rl2Cfg
from .sb3 import ArmVecEnv


class SequencePolicy(MlpLstmPolicy):
    """The library's policy, which takes a sequence in one call where an episode begins at its first step alone.

    The library's own loops over the steps as soon as one episode begins; it computes the same, several times slower.
    """

    @staticmethod
    def _process_sequence(features: Tensor, lstm_states: Any, episode_starts: Tensor, lstm: nn.LSTM) -> Any:
        """Return the LSTM's outputs and its state, as the library's method of this name."""
        starts = episode_starts.reshape(lstm_states[0].shape[1], -1)  # (sequences, steps)
        if starts.shape[1] > 1 and not starts[:, 1:].any():
            keep = (1.0 - starts[:, 0]).view(1, -1, 1)
            lstm_states = (keep * lstm_states[0], keep * lstm_states[1])
            episode_starts = torch.zeros_like(episode_starts)
        return MlpLstmPolicy._process_sequence(features, lstm_states, episode_starts, lstm)


class Rl2:
    """How sb3-contrib's RecurrentPPO is set up."""

    name = "rl2"

    def arms(self, cfg: Rl2Cfg) -> VecEnv:
        """Return arms that draw a body where a trial begins."""
        return ArmVecEnv(TrialVectorEnv(make_arms(cfg.env, cfg.arms, nthread=1), cfg.episodes))

    def model(self, cfg: Rl2Cfg, env: VecEnv, n_steps: int) -> RecurrentPPO:
        """Return RecurrentPPO for rollouts of whole trials."""
        options = {
            "net_arch": {"pi": [cfg.hidden], "vf": [cfg.hidden]},
            "log_std_init": cfg.log_std,
            "lstm_hidden_size": cfg.lstm,
        }
        return RecurrentPPO(SequencePolicy, env, n_steps=n_steps, policy_kwargs=options, **common(cfg, n_steps))

    def sizes(self, cfg: Rl2Cfg, env: VecEnv) -> dict[str, int]:
        """Return the sizes of LstmActor."""
        n_obs, n_joints = (space.shape[0] for space in (env.observation_space, env.action_space) if space.shape)
        return {"n_obs": n_obs, "n_joints": n_joints, "hidden": cfg.hidden, "lstm": cfg.lstm}

    def calibration(self, observation: Tensor, n: int = 8) -> Tensor:
        """Return the trials of n arms (steps, n, n_obs)."""
        return observation[:, :n].clone()
