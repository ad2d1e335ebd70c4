"""What the reward learner makes of what an arm senses: inputs of the policy, and what signals see of a transition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .checks import check_at_least
from .reward_chain import Chain, pull

HISTORY = 2
"""Past steps whose change of velocity the policy remembers: what a late body has been told and not yet done shows."""


@dataclass(frozen=True)
class RewardCfg:
    """Sizes and fixed scales of the policy and of the network of learning signals."""

    n_joints: int
    """Joints of the arm, J; one output each."""
    n_axes: int
    """Coordinates D of a place of the tip."""
    parallel_joints: tuple[int, ...]
    """Consecutive joints with parallel axes: sums of their angles give the links' pitch."""
    chain: Chain = ()
    """The nominal links, by which ways are told as pulls at the joints; (): not told."""
    axes: tuple[int, ...] = ()
    """Which of the world's axes the coordinates of a place are; needed with a chain."""
    hidden: int = 64
    """Width of the policy's two hidden layers."""
    n_features: int = 65
    """Features that the plastic head reads, the constant one among them."""
    gates: int = 64
    """Width of the two gated layers of the network of learning signals."""
    lags: int = 4
    """Control steps that a signal looks back for commands: a body may act late, by 0 to 2 of them."""
    echoes: int = 0
    """Own commands of the last steps that the fixed layers hear, as the joints got them by the wiring found so far;
    0: none."""
    answers: int = 0
    """Lags at which the fixed layers are told how the body answered commands in earlier episodes; 0: not told."""
    looks_ahead: bool = False
    """Whether the lateness that the answers show aligns lessons in time and leads the policy; needs answers."""
    answers_teach: bool = False
    """Whether signals are told how each joint has answered an output's commands so far."""
    answers_kept: float = 1.0
    """Share of what was heard of answers that is kept from one episode to the next: bodies may change."""
    shared_motors: bool = True
    """One set of modulators for all outputs: every motor may be any joint's. False: a set for each output."""
    rate: float = 0.3
    """Rate that the learned logarithms start from."""
    signal_clip: float = 3.0
    """Largest signal; a tanh leads there."""
    command_clip: float = 4.0
    """Largest mean command, in network units; a tanh leads there."""
    velocity_scale_rad_s: float = 5.0
    """Joint velocity that reads as 1."""
    stiction_scale_rad_s: float = 0.5
    """Joint velocity where the sign of motion, a tanh, is half-way."""
    place_scale_m: float = 1.2
    """Distance from the first joint that reads as 1."""
    way_scale_m: float = 0.3
    """Distance from the goal up to which the way reads in proportion; far beyond it only its direction is left."""
    step_velocity_rad_s: float = 1.0
    """Change of a joint velocity in a step that reads as 1."""
    step_tip_m: float = 0.05
    """Motion of the tip in a step that reads as 1."""
    step_reward: float = 0.1
    """Change of the reward in a step that reads as 1."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        check_at_least(1, self, "n_joints", "n_axes", "hidden", "gates", "lags")
        for name in ("echoes", "answers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("looks_ahead", "answers_teach"):
            if getattr(self, name) and not self.answers:
                raise ValueError(f"{name} needs answers of at least 1, got 0: it goes by what was heard of them")
        if not 0.0 <= self.answers_kept <= 1.0:
            raise ValueError(f"answers_kept must be 0 to 1, got {self.answers_kept}")
        if self.chain and len(self.axes) != self.n_axes:
            raise ValueError(f"a chain needs {self.n_axes} axes, one for each coordinate of a place, got {self.axes}")
        if self.n_features < 2:
            raise ValueError(f"n_features must be at least 2 (one is constant), got {self.n_features}")

    @property
    def n_heard(self) -> int:
        """Width of what is heard of own commands."""
        return self.echoes * self.n_joints + 2 * self.answers

    @property
    def n_inputs(self) -> int:
        """Width of what the fixed layers read: the encoded observation, and the echoes."""
        return self.n_encoded + self.n_heard

    @property
    def n_encoded(self) -> int:
        """Width of the encoded observation: sines, cosines, velocity, its sign, its last changes,
        goal, tip, the way, the turned way, the pull at each joint.
        """
        turned = 4 * len(self.parallel_joints) + (self.n_axes - 2)
        turned += self.n_joints if self.chain else 0
        return (4 + HISTORY) * self.n_joints + 2 * (len(self.parallel_joints) - 1) + 3 * self.n_axes + turned

    @property
    def n_sensed(self) -> int:
        """Width of what was sensed: observation, steps of velocity and tip, the reward and its two differences."""
        return self.n_encoded + self.n_joints + self.n_axes + 3

    @property
    def n_transition(self) -> int:
        """Width of what the network of signals sees: what was sensed, the echoes and the features."""
        return self.n_sensed + self.n_heard + self.n_features

    @property
    def n_taught(self) -> int:
        """Outputs of the network of signals that answers are multiplied by: two kinds of each joint's."""
        return 2 * self.n_joints if self.answers_teach else 0

    @property
    def n_modulators(self) -> int:
        """Modulators of one output: of its commands and of their random parts at each lag, and of its mean."""
        return 2 * self.lags + 1


def encode(cfg: RewardCfg, seen: Any, earlier_rad_s: Tensor) -> Tensor:
    """Return the digital encoding of observations, (..., n_encoded), all within -1 to 1.

    Args:
        cfg: Scales and the joints whose angles add up.
        seen: The observation's parts by name: q_rad, qd_rad_s (..., J), goal_m, tip_m (..., D).
        earlier_rad_s: Velocities that were seen 1, 2, ... steps before, (..., HISTORY, J).
    """
    pitch = torch.cumsum(seen.q_rad[..., list(cfg.parallel_joints)], dim=-1)[..., 1:]
    angles = torch.cat([seen.q_rad, pitch], dim=-1)
    speeds = torch.cat([seen.qd_rad_s[..., None, :], earlier_rad_s], dim=-2)
    changes = (speeds[..., :-1, :] - speeds[..., 1:, :]) / cfg.step_velocity_rad_s
    parts = [
        torch.sin(angles),
        torch.cos(angles),
        seen.qd_rad_s / cfg.velocity_scale_rad_s,
        torch.tanh(seen.qd_rad_s / cfg.stiction_scale_rad_s),
        changes.flatten(-2),
        seen.goal_m / cfg.place_scale_m,
        seen.tip_m / cfg.place_scale_m,
        way := soft_way(cfg, seen),
        turned_way(cfg, seen.q_rad, way),
    ]
    if cfg.chain:
        parts.append(pull(cfg.chain, cfg.axes, seen.q_rad, way))
    return torch.cat(parts, dim=-1).clamp(-1.0, 1.0)


def earlier(qd_rad_s: Tensor) -> Tensor:
    """Return the velocities 1, 2, ... steps before each step of episodes (..., T, J), (..., T, HISTORY, J).

    Before an episode they are those of its first step.
    """
    late = [
        torch.cat([qd_rad_s[..., :1, :].expand(*qd_rad_s.shape[:-2], k, -1), qd_rad_s[..., :-k, :]], dim=-2)
        for k in range(1, HISTORY + 1)
    ]
    return torch.stack(late, dim=-2)


def soft_way(cfg: RewardCfg, seen: Any) -> Tensor:
    """Return the way to the goal over sqrt(its square + scale^2), (..., D): in proportion near, far a direction."""
    way = seen.goal_m - seen.tip_m
    return way / (way.square().sum(dim=-1, keepdim=True) + cfg.way_scale_m**2).sqrt()


def turned_way(cfg: RewardCfg, q_rad: Tensor, way: Tensor) -> Tensor:
    """Return a way (..., D) against the links: in their plane times sine and cosine of each link's pitch.

    Torques towards a goal are sums of these products, with lengths of links as weights; in space the plane is that of
    the azimuth of joint 0, and the way across it comes first. Shape (..., 4 P + D - 2) for P parallel joints.
    """
    across = way[..., :0]
    if cfg.n_axes == 3:
        sine, cosine = torch.sin(q_rad[..., :1]), torch.cos(q_rad[..., :1])
        x, y, z = way.split(1, dim=-1)
        across, way = cosine * y - sine * x, torch.cat([cosine * x + sine * y, z], dim=-1)
    pitch = torch.cumsum(q_rad[..., list(cfg.parallel_joints)], dim=-1)
    turns = torch.cat([torch.sin(pitch), torch.cos(pitch)], dim=-1)
    return torch.cat([across, (turns[..., None] * way[..., None, :]).flatten(-2)], dim=-1)


def difference(series: Tensor) -> Tensor:
    """Return the change of (..., T) from one step to the next; the first is 0."""
    return torch.cat([torch.zeros_like(series[..., :1]), series[..., 1:] - series[..., :-1]], dim=-1)


def sensed_steps(cfg: RewardCfg, sensed: Tensor) -> Tensor:
    """Return the change of each joint's velocity in each transition, (..., J), of what was sensed (..., n_sensed)."""
    return sensed[..., cfg.n_encoded : cfg.n_encoded + cfg.n_joints]


def sense(cfg: RewardCfg, unpack: Any, seen: Tensor, reward: Tensor) -> Tensor:
    """Return what was sensed of each transition, (..., T, n_sensed), cut to -3 and 3; the encoded observation first.

    The second difference of the reward stands for progress that begins: it is how the last commands changed the speed
    towards the goal.

    Args:
        cfg: Scales.
        unpack: From observations to their parts by name.
        seen: Observations, (..., T + 1, n_obs).
        reward: (..., T).
    """
    parts = unpack(seen)
    step_qd = (parts.qd_rad_s[..., 1:, :] - parts.qd_rad_s[..., :-1, :]) / cfg.step_velocity_rad_s
    step_tip = (parts.tip_m[..., 1:, :] - parts.tip_m[..., :-1, :]) / cfg.step_tip_m
    gain = difference(reward) / cfg.step_reward
    bend = difference(gain) * 10.0
    bend[..., :2] = 0.0
    now = encode(cfg, unpack(seen[..., :-1, :]), earlier(parts.qd_rad_s[..., :-1, :]))
    return torch.cat([now, step_qd, step_tip, torch.stack([reward, gain, bend], dim=-1)], dim=-1).clamp(-3.0, 3.0)
