"""Networks on the chip: every layer that has a counterpart there is programmed, the rest goes on in software."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .aware import without_hardware
from .checks import check_kind
from .config import CrossbarCfg
from .crossbar import Crossbar
from .kinds import beside_layers, find_layers, kind_of, replaced
from .layers import CrossbarLayer
from .ledger import Ledger
from .per_chip import ChipBatchNorm, estimating, stand_in
from .ranges import measure_spans


class Deployed:
    """A module whose layers are programmed on K chips; everything else still runs in software."""

    def __init__(
        self,
        module: nn.Module,
        layers: Mapping[str, CrossbarLayer],
        in_software: tuple[str, ...],
        norms: Mapping[str, ChipBatchNorm] | None = None,
    ) -> None:
        """Hold the parts.

        Args:
            module: The network, on its chips.
            layers: Those of its layers that lie there, by name.
            in_software: What does not.
            norms: Batch normalisations, which run in software with statistics of each chip.
        """
        self.module, self.layers, self.in_software, self.norms = module, dict(layers), in_software, dict(norms or {})

    def __call__(self, x: Tensor, *args: Any) -> Any:
        """Run the module on x (K, batch, ...)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            return self.module(x, *args)

    @property
    def crossbars(self) -> dict[str, Crossbar]:
        """Every crossbar, by the name of its layer and, where a layer has several, its name in it."""
        return {
            f"{name}.{part}".rstrip("."): crossbar
            for name, layer in self.layers.items()
            for part, crossbar in layer.crossbars.items()
        }

    def advance(self, seconds: float, calibrate: bool = True) -> None:
        """Let every layer age, then measure its compensation factors unless `calibrate` is False."""
        for crossbar in self.crossbars.values():
            crossbar.advance(seconds, calibrate)

    def recalibrate(self) -> None:
        """Measure every layer's compensation factors."""
        for crossbar in self.crossbars.values():
            crossbar.recalibrate()

    @property
    def ledgers(self) -> dict[str, Ledger]:
        """The bill of every crossbar, by its name in `crossbars`: the live ones, not copies."""
        return {name: crossbar.ledger for name, crossbar in self.crossbars.items()}

    def bill_json(self) -> dict[str, Any]:
        """Return plain numbers for JSON: the bill of every crossbar and of all together, chip by chip.

        Each is what `Ledger.to_json` returns; the constants, the same for all, stand once beside them.
        """
        layers = {name: ledger.to_json() for name, ledger in self.ledgers.items()}
        total = self.ledger.to_json()
        for each in layers.values():
            del each["constants"]
        return {"layers": layers, "total": total, "constants": total.pop("constants")}

    @property
    def ledger(self) -> Ledger:
        """The layers' bills added up: a snapshot, so book on a layer's own `crossbar.ledger`."""
        bills = list(self.ledgers.values())
        return sum(bills[1:], bills[0].snapshot())

    def copies(self, n_copies: int) -> Deployed:
        """Return K x T chips in this state, copy t of chip k in row k T + t, each with its own future."""
        layers = {name: layer.copies(n_copies) for name, layer in self.layers.items()}
        norms = {name: norm.copies(n_copies) for name, norm in self.norms.items()}
        old, new = {**self.layers, **self.norms}, {**layers, **norms}
        stand_ins: dict[int, nn.Module] = {id(each): new[name] for name, each in old.items()}
        return Deployed(replaced(self.module, stand_ins), layers, self.in_software, norms)

    @torch.no_grad()
    def renormalize(self, x: Tensor, *args: Any) -> None:
        """Set every batch normalisation's statistics to those of this batch as each chip sees it: (K, batch, ...)."""
        with estimating(self.norms.values()):
            self.module(x, *args)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every crossbar and the statistics of batch normalisations; all else is the module's."""
        return {name: each.state_dict() for name, each in self._parts().items()}

    def check_state(self, state: dict[str, Any]) -> None:
        """Refuse a state that is not of such layers and chips."""
        check_kind("state", state, dict)
        mine = self._parts()
        if set(state) != set(mine):
            raise ValueError(f"the state has layers {sorted(state)}, this module {sorted(mine)}")
        for name, each in mine.items():
            each.check_state(state[name])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the chips of a state, to the bit; one of other layers or chips changes nothing."""
        self.check_state(state)
        for name, each in self._parts().items():
            each.load_state_dict(state[name])

    def __repr__(self) -> str:
        """Say what lies on the chip and what does not."""
        on_chip = [f"  {name}: {crossbar!r}" for name, crossbar in self.crossbars.items()]
        return "\n".join(["On the chip:", *on_chip, "In software:", *(f"  {each}" for each in self.in_software)])

    def _parts(self) -> dict[str, Crossbar | ChipBatchNorm]:
        return {**self.crossbars, **self.norms}


def deploy(
    module: nn.Module,
    cfg: CrossbarCfg | None = None,
    *,
    n_chips: int,
    generator: torch.Generator,
    calibration: Any = None,
    layers: Mapping[str, CrossbarCfg] | None = None,
) -> Deployed:
    """Program a copy of a module on K chips: every layer of `KINDS` in it becomes its counterpart there.

    Args:
        module: A network of such layers, or what `hardware_aware` made of one. It is run on (K, batch, ...): torch's
            pooling, flattening and normalising layers in it are fitted to that; what its forward() writes out must
            work so by itself (a `flatten(1)` is to be `flatten(2)`, or an `nn.Flatten`).
        cfg: How a layer lies on the chip.
        n_chips: K.
        generator: Source of every crossbar's seed, in the order of the layers.
        calibration: Typical inputs, without a dimension of chips: what the module takes, or a tuple of it. They set the
            converters' ranges where a layer's cfg does not.
        layers: Other configurations, by name of layer.
    """
    check_kind("module", module, nn.Module)
    floats = without_hardware(module)
    found = find_layers(floats)
    layers = layers or {}
    if unknown := set(layers) - set(found):
        raise ValueError(f"unknown layers {sorted(unknown)}; choose from {sorted(found)}")
    cfgs = {name: layers.get(name, cfg or CrossbarCfg()) for name in found}
    spans = {} if calibration is None else measure_spans(floats, found, cfgs, calibration)
    placed: dict[str, CrossbarLayer] = {}
    for name, layer in found.items():
        kind = kind_of(layer)
        crossbars: dict[str, Crossbar] = {}
        for part, matrix in kind.matrices(layer).items():
            ranged = spans[name][part].fill() if spans else cfgs[name]
            crossbars[part] = Crossbar(matrix.weight, ranged, n_chips=n_chips, generator=generator, bias=matrix.bias)
        placed[name] = kind.like(layer, crossbars)
    beside = {name: new for name, old in beside_layers(floats).items() if (new := stand_in(old, n_chips))}
    norms = {name: each for name, each in beside.items() if isinstance(each, ChipBatchNorm)}
    stand_ins: dict[int, nn.Module] = {id(floats.get_submodule(name)): each for name, each in beside.items()}
    stand_ins |= {id(layer): placed[name] for name, layer in found.items()}
    return Deployed(replaced(floats, stand_ins), placed, _in_software(floats, found), norms)


def _in_software(module: nn.Module, found: Mapping[str, nn.Module]) -> tuple[str, ...]:
    """List the modules, parameters and buffers that did not move, and what no list can see."""
    on_chip = {id(each) for each in found.values()}
    names = [
        f"{name or 'module'}: {each!r}"
        for name, each in module.named_modules()
        if not list(each.children()) and id(each) not in on_chip
    ]
    inside = {id(each) for layer in found.values() for each in layer.parameters()}
    tensors = [*module.named_parameters(), *module.named_buffers()]
    names += [f"{name}: tensor of shape {tuple(each.shape)}" for name, each in tensors if id(each) not in inside]
    return (*names, "operations written out in forward(), such as activations and sums")
