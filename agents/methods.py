"""What meta-training can train on the delta learner's data: the delta learner itself, and what it must beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .baselines import cavia, maml_full
from .baselines.net_chip import SoftwareNet
from .delta import DeltaCfg, DeltaLearner
from .episodes import Controller, run_trial
from .experience import Experience, Policy, gather
from .network import NetworkCfg
from .outer import predicted_rmse
from .policy import DeltaPolicy, SoftwareSubstrate
from .working_range import added_by_lessons, working_range


def nothing_left(env: Any, learner: Any, tasks: Sequence[Any], n_episodes: int, seed: int) -> dict[str, Tensor]:
    """Do nothing after the last round."""
    return {}


class Method(NamedTuple):
    """A learner as the outer loop sees it."""

    kind: str
    """What its checkpoints say they are of."""
    build: Callable[[NetworkCfg, Tensor], Any]
    """From sizes and the unit of actions to an untrained learner."""
    policy: Policy
    """What drives arms in software while data is gathered."""
    predict: Callable[..., Tensor]
    """From learner, data, response, noise and generator to the predicted errors (B, K), rad."""
    measure: Callable[[Any, Experience], dict[str, Tensor]]
    """What deployment will be calibrated with."""
    finish: Callable[..., dict[str, Tensor]] = nothing_left
    """From env, learner, training bodies, episodes and seed: the last thing to do; returns new calibration."""
    added: Callable[[Any, Experience], Tensor] | None = None
    """What the lessons of a trial have added to each head, (B, J, D); its policy takes such heads. None: it cannot."""


def delta_policy(
    learner: DeltaLearner, n_arms: int, arm_cfg: Any, *, plastic: bool = True, added: Tensor | None = None
) -> Controller:
    """Return the delta learner in software, its heads (N, J, D) moved by what other bodies' lessons have `added`."""
    return DeltaPolicy(learner, SoftwareSubstrate(learner, n_arms, added), arm_cfg, plastic=plastic)


DELTA = Method(
    "delta",
    lambda network, scale: DeltaLearner(network, DeltaCfg(), scale),
    delta_policy,
    predicted_rmse,
    working_range,
    added=added_by_lessons,
)

PLAIN_RATES = (0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
"""Rates of the delta rule that the plainly trained network is tried with."""


def best_rate(env: Any, learner: DeltaLearner, tasks: Sequence[Any], n_episodes: int, seed: int) -> dict[str, Tensor]:
    """Give every weight of the head the one rate that adapts best on these bodies, in software; return the new ranges.

    A network that was trained without an inner loop has learned no rates.
    """

    def mean_error(rate: float) -> float:
        with torch.no_grad():
            learner.log_rate.fill_(math.log(rate / learner.rule.rate))
        policy = delta_policy(learner, len(tasks), env.unwrapped.arm_cfg)
        episodes, _ = run_trial(env, policy, tasks, range(seed, seed + len(tasks)), n_episodes)
        return sum(float(episode.error.mean()) for episode in episodes[1:])

    for task in tasks:
        task.require_split("train")
    mean_error(min(PLAIN_RATES, key=mean_error))  # leaves the best one set
    return working_range(learner, gather(env, learner, delta_policy, tasks, n_episodes, warm=False, seed=seed))


PLAIN = Method(
    "delta",
    DELTA.build,
    lambda learner, n_arms, arm_cfg: delta_policy(learner, n_arms, arm_cfg, plastic=False),
    lambda *inputs: predicted_rmse(*inputs, lessons=False),
    working_range,
    best_rate,
)
"""The same network trained plainly, on bodies of every kind (domain randomisation) and without an inner loop; then
adapted by the same rule, at the one rate that suits it best."""


def cavia_method(rule: cavia.CaviaCfg) -> Method:
    """Return CAVIA with these settings."""
    return Method(
        "cavia",
        lambda network, scale: cavia.CaviaLearner(network, rule, scale),
        lambda learner, n, arm: cavia.CaviaPolicy(learner, SoftwareNet(learner.tables, n), arm, n),
        cavia.predicted_rmse,
        cavia.working_range,
    )


def maml_method(rule: maml_full.MamlCfg) -> Method:
    """Return full-weight MAML with these settings."""
    return Method(
        "maml",
        lambda network, scale: maml_full.MamlLearner(network, rule, scale),
        lambda learner, n, arm: maml_full.MamlPolicy(learner, SoftwareNet(learner.tables, n), arm, n),
        maml_full.predicted_rmse,
        lambda learner, data: maml_full.working_range(learner, data[:48]),
    )
