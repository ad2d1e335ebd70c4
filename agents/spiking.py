"""Networks of leaky integrate-and-fire neurons, plain and adaptive, with a hand-written backward pass through time.

Bellec et al., Nat. Commun. 11:3625 (2020), as used in Ortner, Petschenig et al., Nat. Commun. 16:1243 (2025), equations
12 to 18. Everything that is linear in time (input currents, filters, weight gradients) is one product over all steps
outside the loops; a step forward adds up the weight rows of the few neurons that spike, a step back is one product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import native


@dataclass(frozen=True)
class NeuronCfg:
    """One population of neurons; a step is 1 ms."""

    n: int
    """Neurons."""
    threshold: float
    """Membrane potential at which a neuron spikes."""
    n_adaptive: int = 0
    """How many of them, the last ones, raise their threshold with every spike."""
    beta: float = 1.6
    """Rise of the threshold per unit of adaptation."""
    tau_adaptation_ms: float = 600.0
    """Time constant of the adaptation."""
    tau_membrane_ms: float = 20.0
    """Time constant of the membrane."""
    refractory_steps: int = 5
    """Shortest distance of two spikes."""
    dampening: float = 0.3
    """Height of the pseudo-derivative times the threshold."""

    @property
    def membrane_decay(self) -> float:
        """Share of the membrane potential left after a step."""
        return math.exp(-1.0 / self.tau_membrane_ms)

    @property
    def adaptation_decay(self) -> float:
        """Share of the adaptation left after a step."""
        return math.exp(-1.0 / self.tau_adaptation_ms)


class SpikeFunction(NamedTuple):
    """What a neuron emits for its distance s to threshold, the derivative used for it, and the derivative of that."""

    spike: Callable[[Tensor, NeuronCfg], Tensor]
    slope: Callable[[Tensor, NeuronCfg], Tensor]
    curvature: Callable[[Tensor, NeuronCfg], Tensor]
    sparse: bool
    """Whether spikes are 0 or 1 and mostly 0."""


def _triangle(s: Tensor, cfg: NeuronCfg) -> Tensor:
    # 0.3 max(0, 1 - |v - thr| / thr) / thr; the last 1 / thr is in the released code alone
    height = cfg.dampening / cfg.threshold
    return s.abs().mul_(-height / cfg.threshold).add_(height).clamp_(min=0.0)


def _triangle_slope(s: Tensor, cfg: NeuronCfg) -> Tensor:
    side = torch.where(s.abs() < cfg.threshold, s.sign(), s.new_zeros(()))
    return side.mul_(-cfg.dampening / cfg.threshold**2)


def _bell(s: Tensor, cfg: NeuronCfg) -> Tensor:
    return cfg.dampening / cfg.threshold * torch.exp(-0.5 * (s / cfg.threshold) ** 2)


STEP = SpikeFunction(lambda s, cfg: (s > 0).to(s.dtype), _triangle, _triangle_slope, sparse=True)
"""Spikes, with the triangle as pseudo-derivative."""
SMOOTH = SpikeFunction(
    lambda s, cfg: cfg.dampening * math.sqrt(2.0 * math.pi) * torch.special.ndtr(s / cfg.threshold),
    _bell,
    lambda s, cfg: -s / cfg.threshold**2 * _bell(s, cfg),
    sparse=False,
)
"""Graded activity whose derivative is exact: what finite differences can check."""


def run_neurons(
    current: Tensor, w_rec: Tensor, cfg: NeuronCfg, function: SpikeFunction = STEP, coarse: bool = False
) -> tuple[Tensor, Tensor]:
    """Return spikes and pseudo-derivatives, each of shape (T, G, S, N), differentiable twice over.

    Args:
        current: Input currents of S sequences for each of G sets of weights. Shape: (T, G, S, N).
        w_rec: Recurrent weights, from row to column, acting one step later. Shape: (G, N, N).
        cfg: The neurons.
        function: What they emit.
        coarse: Take the backward products in bfloat16, twice as fast on processors made for it.
    """
    return _Run.apply(current, w_rec, cfg, function, coarse)


class _Run(torch.autograd.Function):
    """The run forward, and its adjoint."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, w_rec: Tensor, cfg: NeuronCfg, function: SpikeFunction, coarse: bool
    ) -> tuple[Tensor, Tensor]:
        """Run; keep what the way back needs."""
        loops = native.usable(current, w_rec) if function.sparse else None
        if loops is not None:
            z, s, slope, raised = _native_forward(loops, current, w_rec, cfg)
        else:
            z, s, raised = _forward(current, w_rec, cfg, function)
            slope = function.slope(s, cfg)
        ctx.save_for_backward(w_rec, z, s, slope, raised)
        ctx.cfg, ctx.function, ctx.coarse = cfg, function, coarse
        ctx.set_materialize_grads(False)
        return z, slope

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """Return the gradients of currents and recurrent weights."""
        w_rec, z, s, slope, raised = ctx.saved_tensors
        grad_z, grad_slope = grads
        if grad_z is None and grad_slope is None:
            return None, None, None, None, None
        push = None if grad_slope is None else ctx.function.curvature(s, ctx.cfg).mul_(grad_slope)
        back = w_rec.transpose(1, 2)
        wide = torch.bfloat16 if ctx.coarse else w_rec.dtype
        alike = z.shape[1] == 1 or (z.shape[2] == 1 and not ctx.cfg.n_adaptive)  # what the compiled loops are made for
        if ctx.function.sparse and native.usable(z) is not None and alike:
            grad_z = None if grad_z is None else grad_z.contiguous()
            return *_native_backward(grad_z, push, slope, z, raised, w_rec, wide, ctx.cfg), None, None, None
        grad_v = _backward(grad_z, push, slope, z, raised, back.to(wide), ctx.cfg)
        before = z[:-1].permute(1, 0, 2, 3).flatten(1, 2).transpose(1, 2)  # (G, N, (T-1) S)
        after = grad_v[1:].permute(1, 0, 2, 3).flatten(1, 2)
        grad_w = torch.bmm(before.to(wide), after.to(wide)).to(w_rec.dtype)
        return grad_v, grad_w, None, None, None


def _forward(current: Tensor, w_rec: Tensor, cfg: NeuronCfg, function: SpikeFunction) -> tuple[Tensor, Tensor, Tensor]:
    """Return spikes and distances to threshold (T, G, S, N), and the thresholds of the adaptive neurons."""
    n_steps, first = current.shape[0], cfg.n - cfg.n_adaptive
    z, s = torch.empty_like(current), torch.empty_like(current)
    raised = current.new_empty((*current.shape[:-1], cfg.n_adaptive))
    v, rest = torch.zeros_like(current[0]), torch.zeros_like(current[0])
    adaptation = torch.zeros_like(raised[0])
    recurrent = _sparse_product(w_rec, current.shape[2]) if function.sparse and w_rec.device.type == "cpu" else None
    for t in range(n_steps):
        v.mul_(cfg.membrane_decay).add_(current[t])
        threshold = raised[t].fill_(cfg.threshold)
        if t > 0:
            v.add_(torch.bmm(z[t - 1], w_rec) if recurrent is None else recurrent(z[t - 1]))
            v[..., :first].sub_(z[t - 1, ..., :first], alpha=cfg.threshold)
            if cfg.n_adaptive:
                adaptation.mul_(cfg.adaptation_decay).add_(z[t - 1, ..., first:])
                threshold.add_(adaptation, alpha=cfg.beta)
                v[..., first:].addcmul_(z[t - 1, ..., first:], threshold, value=-1.0)
        torch.sub(v, cfg.threshold, out=s[t])
        if cfg.n_adaptive:
            torch.sub(v[..., first:], threshold, out=s[t, ..., first:])
        if cfg.refractory_steps:
            s[t].masked_fill_(rest > 0.1, -math.inf)  # neither spike nor derivative
        z[t] = function.spike(s[t], cfg)
        if cfg.refractory_steps:
            rest.add_(z[t], alpha=cfg.refractory_steps).sub_(1.0).clamp_(min=0.0)
    return z, s, raised


def _sparse_product(w_rec: Tensor, n_sequences: int) -> Callable[[Tensor], Tensor]:
    """Return spikes (G, S, N) -> spikes @ w_rec, adding up the rows of the neurons that spike."""
    n_groups, n_pre, n_post = w_rec.shape
    rows = w_rec.reshape(n_groups * n_pre, n_post)
    offset = (torch.arange(n_groups) * n_pre).repeat_interleave(n_sequences)

    def product(z: Tensor) -> Tensor:
        sequence, neuron = torch.nonzero(z.view(-1, n_pre), as_tuple=True)
        starts = torch.searchsorted(sequence, torch.arange(n_groups * n_sequences))
        bags = torch.embedding_bag(rows, neuron + offset[sequence], starts, mode=0)[0]
        return bags.view(n_groups, n_sequences, n_post)

    return product


def _backward(
    grad_z: Tensor | None,
    push: Tensor | None,
    slope: Tensor,
    z: Tensor,
    raised: Tensor,
    back: Tensor,
    cfg: NeuronCfg,
) -> Tensor:
    """Return the gradient of every membrane potential, which is that of the currents. Shape: (T, G, S, N)."""
    first = cfg.n - cfg.n_adaptive
    grad_v = torch.empty_like(slope)
    later = torch.zeros_like(slope[0])  # of the potential one step later
    later_b = torch.zeros_like(raised[0])  # of the adaptation one step later
    for t in range(slope.shape[0] - 1, -1, -1):
        if t == slope.shape[0] - 1:
            onto_z = torch.zeros_like(later)
        else:
            onto_z = torch.bmm(later.to(back.dtype), back).to(later.dtype)
            onto_z[..., :first].sub_(later[..., :first], alpha=cfg.threshold)
            if cfg.n_adaptive:
                onto_z[..., first:].addcmul_(later[..., first:], raised[t + 1], value=-1.0).add_(later_b)
        if grad_z is not None:
            onto_z.add_(grad_z[t])
        onto_s = onto_z.mul_(slope[t])
        if push is not None:
            onto_s.add_(push[t])
        here = torch.add(onto_s, later, alpha=cfg.membrane_decay, out=grad_v[t])
        if cfg.n_adaptive:
            onto_threshold = onto_s[..., first:]
            if t > 0:
                onto_threshold.addcmul_(z[t - 1, ..., first:], here[..., first:])
            later_b.mul_(cfg.adaptation_decay).sub_(onto_threshold, alpha=cfg.beta)
        later = here
    return grad_v


def _native_forward(
    loops: Any, current: Tensor, w_rec: Tensor, cfg: NeuronCfg
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what `_forward` does, and the pseudo-derivative before its last result, by compiled loops."""
    n_steps, n_groups, n_sequences, n = current.shape
    n_rows = n_groups * n_sequences
    current, w_rec = current.contiguous(), w_rec.contiguous()
    z, s, slope = (torch.empty_like(current) for _ in range(3))
    raised = current.new_empty((*current.shape[:-1], cfg.n_adaptive))
    sizes = (n_steps, n_rows, n, cfg.n_adaptive, n_sequences, cfg.refractory_steps)
    constants = (cfg.threshold, cfg.beta, cfg.membrane_decay, cfg.adaptation_decay, cfg.dampening)
    native.split(loops.run_rows, (current, w_rec, z, s, slope, raised, *sizes, *constants), n_rows)
    return z, s, slope, raised


def _native_backward(
    grad_z: Tensor | None,
    push: Tensor | None,
    slope: Tensor,
    z: Tensor,
    raised: Tensor,
    w_rec: Tensor,
    wide: torch.dtype,
    cfg: NeuronCfg,
) -> tuple[Tensor, Tensor]:
    """Return what `_backward` does and the weights' gradient, by compiled loops: one sequence or one set of weights."""
    loops = native.kernels()
    assert loops is not None
    n_steps, n_groups, n_sequences, n = z.shape
    n_rows = n_groups * n_sequences
    grad_v, grad_w = torch.empty_like(slope), torch.zeros_like(w_rec)
    constants = (cfg.threshold, cfg.membrane_decay)
    if n_sequences == 1 and not cfg.n_adaptive:
        arrays = (grad_z, push, slope, z, w_rec, grad_v, grad_w)
        native.split(loops.back_rows, (*arrays, n_steps, n_rows, n, *constants), n_rows)
        return grad_v, grad_w
    back = w_rec[0].T.contiguous().to(wide)
    onto_b, onto_z = torch.zeros_like(raised[0]), torch.zeros(n_rows, n)
    constants = (n, cfg.n_adaptive, cfg.threshold, cfg.beta, cfg.membrane_decay, cfg.adaptation_decay)
    for t in range(n_steps - 1, -1, -1):
        last = t == n_steps - 1
        if not last:
            later = grad_v[t + 1].view(n_rows, n)
            onto_z = torch.mm(later, back) if wide == later.dtype else torch.mm(later.to(wide), back).float()
        steps = [None if x is None else x[t] for x in (grad_z, push, slope)]
        before = z[t - 1] if t > 0 else None
        level = (None, None) if last else (grad_v[t + 1], raised[t + 1])
        native.split(loops.back_step, (onto_z, *steps, before, *level, onto_b, grad_v[t], *constants), n_rows)
    sizes = ((n_steps - 1) * n_rows, n, n)
    native.split(loops.scatter_rows, (z[:-1], grad_v[1:], grad_w, *sizes), n)
    return grad_v, grad_w
