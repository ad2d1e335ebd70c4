"""Domain-randomised PPO: Stable-Baselines3's, a new body in every episode, nothing remembered from one to the next."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env.base_vec_env import VecEnv
from torch import Tensor

from .rl_cfg import PpoCfg, RlCfg
from .sb3 import make_vec_env


class Ppo:
    """How Stable-Baselines3's PPO is set up."""

    name = "ppo"

    def arms(self, cfg: PpoCfg) -> VecEnv:
        """Return arms that draw a body at every reset."""
        return make_vec_env(cfg.env, cfg.arms, nthread=1)

    def model(self, cfg: PpoCfg, env: VecEnv, n_steps: int) -> PPO:
        """Return PPO for rollouts of whole episodes."""
        return PPO("MlpPolicy", env, n_steps=n_steps, policy_kwargs=policy_options(cfg), **common(cfg, n_steps))

    def sizes(self, cfg: PpoCfg, env: VecEnv) -> dict[str, int]:
        """Return the sizes of MlpActor."""
        n_obs, n_joints = (space.shape[0] for space in (env.observation_space, env.action_space) if space.shape)
        return {"n_obs": n_obs, "n_joints": n_joints, "hidden": cfg.hidden}

    def calibration(self, observation: Tensor, n: int = 512) -> Tensor:
        """Return n observations (n, n_obs), spread over steps and arms."""
        every = observation.flatten(0, 1)
        return every[torch.linspace(0, len(every) - 1, n).long()]


def policy_options(cfg: RlCfg) -> dict[str, Any]:
    """Return the library's options of a policy with critic beside it, both of two layers of tanh."""
    layers = [cfg.hidden, cfg.hidden]
    return {"net_arch": {"pi": layers, "vf": layers}, "log_std_init": cfg.log_std}


def common(cfg: RlCfg, n_steps: int) -> dict[str, Any]:
    """Return the options that PPO and RecurrentPPO share."""
    return {
        "batch_size": -(-cfg.arms * n_steps // cfg.minibatches),
        "n_epochs": cfg.epochs,
        "learning_rate": cfg.rate,
        "gamma": cfg.gamma,
        "gae_lambda": cfg.gae_lambda,
        "ent_coef": cfg.entropy,
        "device": "cpu",
    }
