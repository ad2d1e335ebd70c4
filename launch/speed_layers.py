"""How fast layers on the chip are simulated, over torch's own layers in the same process, on one thread.

python -m launch.speed_layers
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import tyro
from torch import Tensor, nn

from launch.speed_chip import Speed, compare
from pcm_backend import CrossbarCfg, CrossbarSpiking, deploy, hardware_aware

CFG = CrossbarCfg()
"""hermes_2, 8-bit converters, read noise drawn at each read."""


@dataclass(frozen=True)
class SpeedLayers:
    """Times of layers on hermes_2 with 8-bit converters and read noise over torch's, CPU seconds."""

    turns: int = 15
    """Times that each is timed, in turn."""


@torch.no_grad()
def layer(module: nn.Module, x: Tensor, n_chips: int, turns: int) -> Speed:
    """Time a deployed layer on every chip's copy of an input, over torch's layer on as many inputs one by one.

    Args:
        module: Torch's layer.
        x: Its input.
        n_chips: Chips.
        turns: Times that each is timed.
    """
    chip = deploy(module, CFG, n_chips=n_chips, generator=_generator(), calibration=x)
    inputs = x.expand(n_chips, *x.shape).contiguous()
    return compare(lambda: chip(inputs), lambda: [module(each) for each in inputs], turns=turns)


@torch.no_grad()
def spiking_step(n_chips: int, turns: int) -> Speed:
    """Time a step of 5 inputs and 250 neurons of which 2 % spike, over the exact product with each chip's matrix."""
    weights = 0.15 * torch.randn(250, 255, generator=_generator())
    cfg = CrossbarCfg(in_range=1.0, out_range=4.0)
    w_in, w_rec = weights.split([5, 250], 1)
    chips = CrossbarSpiking.program(w_in, w_rec, cfg, n_chips=1, generator=_generator()).copies(n_chips)
    spikes = (torch.rand(n_chips, 255, generator=_generator()) < 0.02).float()
    x, z = spikes.split([5, 250], 1)
    matrices = chips.crossbar.weights().transpose(1, 2).contiguous()
    return compare(lambda: chips.step(x, z), lambda: torch.bmm(spikes.unsqueeze(1), matrices), turns=turns, calls=20)


def training_step(module: nn.Module, x: Tensor, turns: int) -> Speed:
    """Time a forward and backward pass with a chip programmed anew, over the same of torch's layer."""
    aware, plain = hardware_aware(module, CFG, generator=_generator()), copy.deepcopy(module)
    return compare(lambda: _backward(aware, x), lambda: _backward(plain, x), turns=turns)


def rows(turns: int) -> dict[str, Callable[[], Speed]]:
    """Return what is measured, by name."""
    picture, deep = torch.rand(25, 56, 14, 14), nn.Conv2d(56, 56, 3, stride=2, padding=1, bias=False)
    drawing, first = torch.rand(25, 1, 28, 28), nn.Conv2d(1, 56, 3, stride=2, padding=1, bias=False)
    sequence = torch.randn(50, 32, 64)
    return {
        "conv 56 to 56, 3 x 3, 14 x 14 pixels, 25 pictures, 1 chip": lambda: layer(deep, picture, 1, turns),
        "the same, 8 chips": lambda: layer(deep, picture, 8, turns),
        "conv 1 to 56, 3 x 3, 28 x 28 pixels, 25 pictures, 8 chips": lambda: layer(first, drawing, 8, turns),
        "LSTM 64 to 128, 50 steps, batch 32, 8 chips": lambda: layer(nn.LSTM(64, 128), sequence, 8, turns),
        "GRU 64 to 128, 50 steps, batch 32, 8 chips": lambda: layer(nn.GRU(64, 128), sequence, 8, turns),
        "spiking step, 30 chips of 250 x 255 / exact bmm": lambda: spiking_step(30, turns),
        "spiking step, 240 chips of 250 x 255 / exact bmm": lambda: spiking_step(240, turns),
        "training step of 256 x 256, batch 256, a new chip each / nn.Linear": lambda: training_step(
            nn.Linear(256, 256), torch.randn(256, 256), turns
        ),
    }


def run(cfg: SpeedLayers) -> dict[str, Speed]:
    """Measure and print every row."""
    torch.set_num_threads(1)
    torch.manual_seed(1000)
    found: dict[str, Speed] = {}
    print(f"{'work':68s} {'chip, ms':>9s} {'torch, ms':>9s} {'ratio':>6s}")
    for name, measure in rows(cfg.turns).items():
        speed = found[name] = measure()
        print(f"{name:68s} {speed.ours_s * 1e3:9.3f} {speed.baseline_s * 1e3:9.3f} {speed.ratio:6.1f}")
    return found


def _backward(module: nn.Module, x: Tensor) -> None:
    module.zero_grad()
    module(x).square().mean().backward()


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1000)


def main() -> None:
    """Run from the command line."""
    run(tyro.cli(SpeedLayers, description=__doc__))


if __name__ == "__main__":
    main()
