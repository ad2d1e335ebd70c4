"""Modules on the chip: every linear layer of a network becomes a crossbar."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .config import CrossbarCfg
from .crossbar import Crossbar
from .ledger import Ledger

_MARGIN = 1.1
"""Full scale of the converters over the largest value of the calibration batch: room for noise and for other inputs."""


class CrossbarLinear(nn.Module):
    """A linear layer whose weights and bias lie on a crossbar."""

    def __init__(self, crossbar: Crossbar) -> None:
        super().__init__()
        self.crossbar = crossbar

    def forward(self, x: Tensor) -> Tensor:
        """Multiply. Shape: (K, ..., in) to (K, ..., out)."""
        y = self.crossbar(x.reshape(x.shape[0], -1, x.shape[-1]))
        return y.reshape(*x.shape[:-1], y.shape[-1])

    def extra_repr(self) -> str:
        """Say what the crossbar is."""
        return repr(self.crossbar)


class Deployed:
    """A module whose linear layers are programmed on K chips; everything else still runs in software."""

    def __init__(self, module: nn.Module, layers: dict[str, CrossbarLinear], in_software: tuple[str, ...]) -> None:
        self.module, self.layers, self.in_software = module, layers, in_software

    def __call__(self, x: Tensor) -> Any:
        """Run the module on x (K, batch, in)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            return self.module(x)

    def advance(self, seconds: float, calibrate: bool = True) -> None:
        """Let every layer age, then measure its compensation factors unless `calibrate` is False."""
        for layer in self.layers.values():
            layer.crossbar.advance(seconds, calibrate)

    def recalibrate(self) -> None:
        """Measure every layer's compensation factors."""
        for layer in self.layers.values():
            layer.crossbar.recalibrate()

    @property
    def ledger(self) -> Ledger:
        """The layers' bills added up: a snapshot, so book on a layer's own `crossbar.ledger`."""
        bills = [layer.crossbar.ledger for layer in self.layers.values()]
        return sum(bills[1:], bills[0].snapshot())

    def copies(self, n_copies: int) -> Deployed:
        """Return K x T chips in this state, copy t of chip k in row k T + t, each with its own future."""
        twins = {name: CrossbarLinear(layer.crossbar.copies(n_copies)) for name, layer in self.layers.items()}
        memo: dict[int, Any] = {id(layer): twins[name] for name, layer in self.layers.items()}
        return Deployed(copy.deepcopy(self.module, memo), twins, self.in_software)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every layer's chip; what runs in software is not part of it."""
        return {name: layer.crossbar.state_dict() for name, layer in self.layers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the chips of a state, to the bit."""
        if set(state) != set(self.layers):
            raise ValueError(f"the state has layers {sorted(state)}, this module {sorted(self.layers)}")
        for name, layer in self.layers.items():
            layer.crossbar.load_state_dict(state[name])

    def __repr__(self) -> str:
        """Say what lies on the chip and what does not."""
        on_chip = [f"  {name}: {layer.crossbar!r}" for name, layer in self.layers.items()]
        return "\n".join(["On the chip:", *on_chip, "In software:", *(f"  {each}" for each in self.in_software)])


def deploy(
    module: nn.Module,
    cfg: CrossbarCfg | None = None,
    *,
    n_chips: int,
    generator: torch.Generator,
    calibration: Tensor | None = None,
    layers: Mapping[str, CrossbarCfg] | None = None,
) -> Deployed:
    """Program a copy of a module on K chips: every `nn.Linear` in it becomes a `CrossbarLinear`.

    Args:
        module: A network of linear layers and operations that work on (K, batch, features).
        cfg: How a layer lies on the chip.
        n_chips: K.
        generator: Source of every layer's seed, in the order of the layers.
        calibration: Typical inputs, (batch, in); they set the converters' ranges where a layer's cfg does not.
        layers: Other configurations, by name of layer.
    """
    floats = copy.deepcopy(module)
    linears = _linears(floats)
    if not linears:
        raise ValueError(f"{type(module).__name__} has no nn.Linear to put on the chip")
    layers = layers or {}
    if unknown := set(layers) - set(linears):
        raise ValueError(f"unknown layers {sorted(unknown)}; choose from {sorted(linears)}")
    spans = {} if calibration is None else _spans(floats, linears, calibration)
    placed: dict[str, CrossbarLinear] = {}
    for name, linear in linears.items():
        own = _with_ranges(layers.get(name, cfg or CrossbarCfg()), spans.get(name))
        crossbar = Crossbar(linear.weight, own, n_chips=n_chips, generator=generator, bias=linear.bias)
        placed[name] = CrossbarLinear(crossbar)
    software = _in_software(floats, linears)
    memo: dict[int, Any] = {id(linear): placed[name] for name, linear in linears.items()}
    return Deployed(copy.deepcopy(floats, memo), placed, software)


def _linears(module: nn.Module) -> dict[str, nn.Linear]:
    if isinstance(module, nn.Linear):
        return {"linear": module}
    return {name: each for name, each in module.named_modules() if isinstance(each, nn.Linear)}


@torch.no_grad()
def _spans(module: nn.Module, linears: dict[str, nn.Linear], x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the largest input of each layer and the largest output of each of its lines over one batch."""
    spans: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> Any:
        def record(_: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> None:
            new = (args[0].abs().amax(), y.abs().reshape(-1, y.shape[-1]).amax(0))
            old = spans.get(name, new)
            spans[name] = (torch.maximum(old[0], new[0]), torch.maximum(old[1], new[1]))

        return record

    handles = [linear.register_forward_hook(watch(name)) for name, linear in linears.items()]
    module(x)
    for handle in handles:
        handle.remove()
    return spans


def _with_ranges(cfg: CrossbarCfg, span: tuple[Tensor, Tensor] | None) -> CrossbarCfg:
    """Fill in the ranges that the calibration batch gives and the configuration leaves open."""
    if span is None:
        return cfg
    largest_in, largest_out = float(span[0]), span[1]
    floor = max(float(largest_out.max()), 1e-6) * 1e-3  # a line that stayed silent still needs a full scale
    changes: dict[str, Any] = {}
    if cfg.in_range is None and largest_in > 0:
        changes["in_range"] = largest_in * _MARGIN
    if cfg.out_range is None:
        changes["out_range"] = tuple((largest_out.clamp(min=floor) * _MARGIN).tolist())
    return dataclasses.replace(cfg, **changes)


def _in_software(module: nn.Module, linears: dict[str, nn.Linear]) -> tuple[str, ...]:
    """List the modules, parameters and buffers that did not move, and what no list can see."""
    on_chip = {id(each) for each in linears.values()}
    names = [
        f"{name or 'module'}: {each!r}"
        for name, each in module.named_modules()
        if not list(each.children()) and id(each) not in on_chip
    ]
    inside = {id(each) for linear in linears.values() for each in linear.parameters()}
    tensors = [*module.named_parameters(), *module.named_buffers()]
    names += [f"{name}: tensor of shape {tuple(each.shape)}" for name, each in tensors if id(each) not in inside]
    return (*names, "operations written out in forward(), such as activations and sums")
