"""Training for the chip: a module whose every forward pass runs on a chip programmed anew."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .config import CrossbarCfg
from .crossbar import Crossbar
from .deal import Deal
from .kinds import find_layers, kind_of, replaced
from .ranges import measure_spans
from .through import Matrix, Product, straight_through


def hardware_aware(
    module: nn.Module,
    cfg: CrossbarCfg | None = None,
    *,
    generator: torch.Generator,
    n_chips: int = 1,
    age_s: float = 0.0,
    calibration: Any = None,
    layers: Mapping[str, CrossbarCfg] | None = None,
) -> nn.Module:
    """Return a copy of a module whose layers see the chip in their forward pass, for training before `deploy`.

    At each forward pass every layer's weights are programmed on new chips: programming error, drift to an age and its
    compensation, read noise, converters and clipping are those of a `Crossbar`, whatever its configuration. The
    gradient takes the rounding as the identity, goes back to the inputs through the weights as the chip held them, and
    reaches the float weights as if the product were exact. The copy has parameters of the same names, so either loads
    the other's `state_dict`; `deploy` takes it as it is; `without_hardware` returns the plain module.

    Args:
        module: What is to be trained. Inputs and outputs stay its own, without a dimension of chips.
        cfg: How a layer lies on the chip; give `w_range` where a line may hold only zeros.
        generator: Source of every chip's seed.
        n_chips: Chips of a pass, to which the samples of a batch are dealt in equal parts (fewer where the batch does
            not divide): the more, the less the gradient depends on the errors of one.
        age_s: Age of the chips when they are read, s.
        calibration: Typical inputs that set the converters' ranges, once, from the weights of now, as in `deploy`;
            None: the ranges of cfg, or the largest magnitude of each vector.
        layers: Other configurations, by name of layer.
    """
    if n_chips < 1:
        raise ValueError(f"n_chips must be 1 or more, got {n_chips!r}")
    if not 0.0 <= age_s < math.inf:
        raise ValueError(f"age_s must be zero or more and finite, got {age_s!r}")
    own = copy.deepcopy(module)
    found, layers = find_layers(own), layers or {}
    if unknown := set(layers) - set(found):
        raise ValueError(f"unknown layers {sorted(unknown)}; choose from {sorted(found)}")
    cfgs = {name: layers.get(name, cfg or CrossbarCfg()) for name in found}
    spans = {} if calibration is None else measure_spans(own, found, cfgs, calibration)
    stand_ins: dict[int, nn.Module] = {}
    for name, layer in found.items():
        parts = kind_of(layer).matrices(layer)
        ranged = {part: spans[name][part].fill() if spans else cfgs[name] for part in parts}
        stand_ins[id(layer)] = AwareLayer(layer, ranged, generator, n_chips=n_chips, age_s=age_s)
    return replaced(own, stand_ins)


def without_hardware(module: nn.Module) -> nn.Module:
    """Return a copy of a hardware-aware module with torch's own layers, as trained."""
    own = copy.deepcopy(module)
    aware = [each for each in own.modules() if isinstance(each, AwareLayer)]
    return replaced(own, {id(each): each.layer for each in aware})


class AwareLayer(nn.Module):
    """A layer of torch whose products run on a chip programmed anew in each forward pass."""

    def __init__(
        self,
        layer: nn.Module,
        cfgs: Mapping[str, CrossbarCfg],
        generator: torch.Generator,
        *,
        n_chips: int,
        age_s: float,
    ) -> None:
        """Take over a layer.

        Args:
            layer: Torch's layer; its parameters become this one's, under the same names.
            cfgs: How each of its matrices lies on the chip.
            generator: Source of the chips' seeds.
            n_chips: Chips of a pass, at most.
            age_s: Age of the chips, s.
        """
        super().__init__()
        self._held = [layer]  # in a list: a child of its own would rename the parameters
        self._cfgs, self._generator = dict(cfgs), generator
        self._n_chips, self._age_s = n_chips, age_s
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)

    @property
    def layer(self) -> nn.Module:
        """Torch's layer, which holds the parameters."""
        return self._held[0]

    def forward(self, *args: Any) -> Any:
        """Run the layer on a new chip."""
        deal, matrices = Deal(self.layer, args, self._n_chips), kind_of(self.layer).matrices(self.layer)
        return deal.run({name: self._product(name, each, deal.n_chips) for name, each in matrices.items()})

    def extra_repr(self) -> str:
        """Say what the layer is."""
        return repr(self.layer)

    def _product(self, name: str, matrix: Matrix, n_chips: int) -> Product:
        crossbar = Crossbar(
            matrix.weight, self._cfgs[name], n_chips=n_chips, generator=self._generator, bias=matrix.bias
        )
        if self._age_s > 0:
            crossbar.advance(self._age_s)
        return functools.partial(
            straight_through, crossbar, weight=matrix.weight, bias=matrix.bias, seen=crossbar.weights()
        )
