"""The spiking arm step by step, as the equations are written and as automatic differentiation takes them.

Slow and plain on purpose: the oracle of the tests, and what `python -m launch.bench trajectory` compares with.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .eprop import EpropCfg, Weights
from .eprop_lesson import Lesson
from .spiking import STEP, NeuronCfg, SpikeFunction


class _Emit(torch.autograd.Function):
    """The spike function with its pseudo-derivative."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, cfg: NeuronCfg, function: SpikeFunction) -> Tensor:
        ctx.save_for_backward(s)
        ctx.cfg, ctx.function = cfg, function
        return function.spike(s, cfg)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (s,) = ctx.saved_tensors
        return grads[0] * ctx.function.slope(s, ctx.cfg), None, None


def plain_slope(s: Tensor, cfg: NeuronCfg, function: SpikeFunction) -> Tensor:
    """Return the pseudo-derivative as an expression that automatic differentiation goes through."""
    if function.sparse:
        return cfg.dampening * torch.clamp(1.0 - s.abs() / cfg.threshold, min=0.0) / cfg.threshold
    return function.slope(s, cfg)


def plain_run(
    x: Tensor, w_in: Tensor, w_rec: Tensor, cfg: NeuronCfg, function: SpikeFunction = STEP
) -> tuple[Tensor, Tensor]:
    """Return spikes and pseudo-derivatives (T, B, N) for inputs (T, B, n_in) and weights (B, n_in, N), (B, N, N)."""
    adaptive = torch.zeros(cfg.n, dtype=x.dtype)
    adaptive[cfg.n - cfg.n_adaptive :] = cfg.beta
    v = z = rest = raised = x.new_zeros(x.shape[1], cfg.n)
    spikes, slopes = [], []
    for now in x:
        raised = cfg.adaptation_decay * raised + z
        threshold = cfg.threshold + adaptive * raised
        into = torch.einsum("bi,bin->bn", now, w_in) + torch.einsum("bi,bin->bn", z, w_rec)
        v = cfg.membrane_decay * v + into - z * threshold
        blocked = rest > 0.1
        z = torch.where(blocked, 0.0, _Emit.apply(v - threshold, cfg, function))
        slopes.append(torch.where(blocked, 0.0, plain_slope(v - threshold, cfg, function)))
        if cfg.refractory_steps:
            rest = torch.clamp(rest + cfg.refractory_steps * z.detach() - 1.0, 0.0, float(cfg.refractory_steps))
        spikes.append(z)
    return torch.stack(spikes), torch.stack(slopes)


def plain_learn_once(
    weights: Weights, task: Lesson, cfg: EpropCfg, function: SpikeFunction = STEP
) -> dict[str, Tensor]:
    """Return what `eprop_lesson.learn_once` returns without a chip, every sum over time taken step by step."""
    n_targets = task.code.shape[1]
    clock = task.clock.unsqueeze(1).expand(-1, n_targets, -1)
    seen = torch.cat([clock, task.code], -1)
    w_in, w_rec, w_in_lsg, w_rec_lsg = (
        w.expand(n_targets, -1, -1) for w in (weights.W_in, weights.W_rec, weights.W_in_lsg, weights.W_rec_lsg)
    )
    first, slope = plain_run(cfg.clock_gain * clock, w_in, w_rec, cfg.trainee, function)
    lsg, _ = plain_run(seen, w_in_lsg, w_rec_lsg, cfg.lsg, function)
    signal, trace_in, trace_rec = torch.zeros_like(first[0]), torch.zeros_like(clock[0]), torch.zeros_like(first[0])
    change_in, change_rec = torch.zeros_like(w_in), torch.zeros_like(w_rec)
    for t in range(clock.shape[0]):
        signal = cfg.readout_decay * signal + lsg[t] @ weights.W_out_lsg
        trace_in = cfg.trainee.membrane_decay * trace_in + clock[t] / cfg.clock_gain
        trace_rec = cfg.trainee.membrane_decay * trace_rec + (first[t - 1] if t > 0 else torch.zeros_like(first[0]))
        change_in = change_in - cfg.inner_rate * torch.einsum("bi,bj->bij", trace_in, signal * slope[t])
        change_rec = change_rec - cfg.inner_rate * torch.einsum("bi,bj->bij", trace_rec, signal * slope[t])
    change_rec = change_rec * (1.0 - torch.eye(cfg.trainee.n, dtype=change_rec.dtype))
    second, _ = plain_run(cfg.clock_gain * clock, w_in + change_in, w_rec + change_rec, cfg.trainee, function)
    out, velocity = torch.zeros_like(task.velocity_rad_s[0]), []
    for z in second:
        out = cfg.readout_decay * out + z @ weights.W_out
        velocity.append(out)
    return {
        "velocity": torch.stack(velocity),
        "change_in": change_in,
        "change_rec": change_rec,
        "first": first,
        "second": second,
        "lsg": lsg,
    }
