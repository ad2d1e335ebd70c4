"""The few-shot CNN: four convolutions that only meta-training changes, and what normalises between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from .checks import check_at_least

SIDES = (28, 14, 7, 4, 2)  # pixels along a side before each convolution of stride 2, and after the last

WeightMap = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ConvNetCfg:
    """Ortner et al. 2025, section Methods: 4 x [3 x 3 convolution of stride 2, ReLU, batch norm], 2 x 2 max-pool."""

    channels: int = 56
    """Filters of each convolution; 56 let a kernel fill two halves of a core's rows (9 x 56 = 2 x 252)."""
    image_channels: int = 1
    """Channels of a picture."""
    readout_bias: bool = False
    """Whether the plastic readout has a bias."""
    eps: float = 1e-3
    """Added to the variance in batch norm, as in Keras, in which the reference was written."""

    def __post_init__(self) -> None:
        """Refuse a network of no width."""
        check_at_least(1, self, "channels", "image_channels")

    @property
    def n_inputs(self) -> int:
        """Inputs of the readout: the features, and a constant 1 where it has a bias."""
        return self.channels + self.readout_bias


NETS = {
    "small": ConvNetCfg(),
    "large": ConvNetCfg(channels=256, readout_bias=True),
}


class Statistics(NamedTuple):
    """What batch norm subtracts and divides by, for each convolution (4, groups, channels); groups 1 is for all."""

    mean: Tensor
    var: Tensor


class ConvNet(nn.Module):
    """Kernels and the running statistics of the layers' outputs."""

    mean: Tensor
    var: Tensor

    def __init__(self, cfg: ConvNetCfg = NETS["small"]) -> None:
        super().__init__()
        self.cfg = cfg
        sizes = [cfg.image_channels, *[cfg.channels] * 4]
        self.kernel = nn.ParameterList([nn.Parameter(torch.zeros(o, i, 3, 3)) for i, o in pairwise(sizes)])
        self.register_buffer("mean", torch.zeros(4, 1, cfg.channels))
        self.register_buffer("var", torch.ones(4, 1, cfg.channels))

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw the kernels, Glorot uniform as in the reference."""
        for kernel in self.kernel:
            nn.init.xavier_uniform_(kernel, generator=generator)

    def statistics(self) -> Statistics:
        """Return the running statistics."""
        return Statistics(self.mean, self.var)

    @torch.no_grad()
    def follow(self, seen: Statistics, rate: float) -> None:
        """Move the running statistics towards those of a batch."""
        self.mean.lerp_(seen.mean, rate)
        self.var.lerp_(seen.var, rate)


def features(
    images: Tensor,
    kernels: list[Tensor],
    cfg: ConvNetCfg,
    given: Statistics | None = None,
    toward: Statistics | None = None,
) -> tuple[Tensor, Statistics]:
    """Return the readout's inputs for pictures, all in one pass.

    Args:
        images: (n, image_channels, 28, 28), ink 1, paper 0.
        kernels: Four of (out, in, 3, 3).
        cfg: Network.
        given: Statistics to normalise with, groups of n / groups pictures after one another; None: those of the n
            pictures themselves.
        toward: Without `given`: normalise to what these statistics would give, yet with the gradient of the pictures'
            own ones (batch renormalisation, Ioffe 2017). Training then sees what deployment does.

    Returns:
        (n, n_inputs), and the statistics given, or else the pictures' own.
    """
    used: list[tuple[Tensor, Tensor]] = []
    x = images
    for layer, kernel in enumerate(kernels):
        x = fn.relu(convolve(x, kernel))
        if given is None:
            x, mean, var = _own_norm(x, cfg.eps, None if toward is None else (toward.mean[layer], toward.var[layer]))
        else:
            mean, var = given.mean[layer], given.var[layer]
            x = group_norm(x, mean, var, cfg.eps)
        used.append((mean, var))
    return readout_inputs(x, cfg), Statistics(torch.stack([m for m, _ in used]), torch.stack([v for _, v in used]))


def convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """Return a 3 x 3 convolution of stride 2 with a border of one zero, channels last in memory.

    Channels last is twice as fast as channels first on CPUs. One channel says nothing of an order in memory, so the
    first layer is written as a product of 3 x 3 patches and kernels, which also has the cheaper gradient.
    """
    if x.shape[1] > 1:
        return fn.conv2d(x, kernel.contiguous(memory_format=torch.channels_last), stride=2, padding=1)
    patches = fn.pad(x[:, 0], (1, 1, 1, 1)).unfold(1, 3, 2).unfold(2, 3, 2)  # (n, H / 2, W / 2, 3, 3)
    return (patches.flatten(3) @ kernel.flatten(1).T).permute(0, 3, 1, 2)


def readout_inputs(x: Tensor, cfg: ConvNetCfg) -> Tensor:
    """Return the readout's inputs (n, n_inputs) from the last layer's outputs (n, channels, 2, 2)."""
    pooled = x.amax((2, 3))
    return fn.pad(pooled, (0, 1), value=1.0) if cfg.readout_bias else pooled


def group_norm(x: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    """Return (n, C, H, W) normalised group by group with mean and var (groups, C)."""
    grouped = x.unflatten(0, (mean.shape[0], -1))  # (groups, n / groups, C, H, W)
    scale = (var + eps).rsqrt()
    offset, scale = (each[:, None, :, None, None] for each in (-mean * scale, scale))
    return torch.addcmul(offset, grouped, scale).flatten(0, 1)  # one pass


def group_statistics(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance (groups, C) over pictures and places of (n, C, H, W)."""
    grouped = x.unflatten(0, (groups, -1))
    var, mean = torch.var_mean(grouped, dim=(1, 3, 4), correction=0)
    return mean, var


def _own_norm(x: Tensor, eps: float, toward: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return x normalised by its own statistics, moved and stretched towards others, and its own ones.

    One fused pass forward and one backward.
    """
    scale = shift = None
    if toward is not None:
        var, mean = torch.var_mean(x.detach(), dim=(0, 2, 3), correction=0)
        far = (toward[1][0] + eps).rsqrt()
        scale, shift = (var + eps).sqrt() * far, (mean - toward[0][0]) * far
    mean, var = x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1])
    y = fn.batch_norm(x, mean, var, scale, shift, training=True, momentum=1.0, eps=eps)
    count = x.numel() // x.shape[1]
    return y, mean[None], var[None] * ((count - 1) / count)


@torch.no_grad()
def settled_statistics(images: Tensor, kernels: list[Tensor], cfg: ConvNetCfg, groups: int = 1) -> Statistics:
    """Return the statistics that pictures settle at, layer by layer, for each of `groups` groups of them."""
    x = images
    found: list[tuple[Tensor, Tensor]] = []
    for kernel in kernels:
        x = fn.relu(convolve(x, kernel))
        found.append(group_statistics(x, groups))
        x = group_norm(x, *found[-1], cfg.eps)
    return Statistics(torch.stack([m for m, _ in found]), torch.stack([v for _, v in found]))


@torch.no_grad()
def seen_statistics(images: Tensor, kernels: list[Tensor], cfg: ConvNetCfg, given: Statistics) -> Statistics:
    """Return the statistics (4, 1, channels) of what the layers put out for pictures that are normalised by others."""
    x = images
    found: list[tuple[Tensor, Tensor]] = []
    for kernel, mean, var in zip(kernels, given.mean, given.var, strict=True):
        x = fn.relu(convolve(x, kernel))
        found.append(group_statistics(x, 1))
        x = group_norm(x, mean, var, cfg.eps)
    return Statistics(torch.stack([m for m, _ in found]), torch.stack([v for _, v in found]))


def as_module(net: ConvNet) -> nn.Sequential:
    """Return the features as torch's own layers, with the running statistics: pictures (n, C, 28, 28) to (n, channels).

    For a chip: `deploy` knows these layers. A readout's constant input is not among the features.
    """
    layers: list[nn.Module] = []
    for kernel, mean, var in zip(net.kernel, net.mean[:, 0], net.var[:, 0], strict=True):
        conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, stride=2, padding=1, bias=False)
        norm = nn.BatchNorm2d(kernel.shape[0], eps=net.cfg.eps, affine=False)
        conv.weight.data.copy_(kernel.data)
        norm.load_state_dict({"running_mean": mean, "running_var": var, "num_batches_tracked": torch.tensor(0)})
        layers += [conv, nn.ReLU(), norm]
    return nn.Sequential(*layers, nn.MaxPool2d(2, stride=1), nn.Flatten()).eval()


def with_net(name: str) -> ConvNetCfg:
    """Return a network by name.

    Raises:
        ValueError: No such network.
    """
    if name not in NETS:
        raise ValueError(f"unknown net {name!r}; choose from {sorted(NETS)}")
    return dataclasses.replace(NETS[name])
