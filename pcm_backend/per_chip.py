"""Software layers beside the chip: torch's expect one batch, the chips bring a dimension of their own before it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .checks import check_shapes

_SAMPLE_WISE: tuple[type[nn.Module], ...] = (
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.pooling._LPPoolNd,
    nn.modules.conv._ConvNd,
    nn.modules.instancenorm._InstanceNorm,
    *(nn.Flatten, nn.Unflatten, nn.GroupNorm, nn.Upsample, nn.PixelShuffle, nn.PixelUnshuffle),
    *(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Softmax, nn.LogSoftmax, nn.Softmax2d),
)
"""Layers that treat every sample of a batch alone, and count dimensions from the front."""


def stand_in(layer: nn.Module, n_chips: int) -> nn.Module | None:
    """Return what takes a software layer's place beside K chips; None: the layer takes (K, batch, ...) as it is."""
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return ChipBatchNorm(layer, n_chips)
    return PerSample(layer) if isinstance(layer, _SAMPLE_WISE) else None


class PerSample(nn.Module):
    """A layer of torch that sees the samples of all chips as one batch."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        """Run the layer. Shape: (K, batch, ...) to (K, batch, ...)."""
        return self.layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class ChipBatchNorm(nn.Module):
    """Batch normalisation with statistics of each chip.

    They begin as those of training. In training mode each chip normalises by its own batch and its running statistics
    follow, so that a network can be normalised anew to what its chip puts out (Joshi NatComm 2020,
    10.1038/s41467-020-16108-9, adapts them against drift).
    """

    def __init__(self, norm: nn.Module, n_chips: int) -> None:
        """Take over weight, bias and statistics of torch's layer.

        Args:
            norm: An `nn.BatchNorm1d`, `2d` or `3d`.
            n_chips: K.
        """
        super().__init__()
        assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
        self.eps, self.momentum, self.tracks = norm.eps, norm.momentum, norm.track_running_stats
        self.weight, self.bias = norm.weight, norm.bias
        mean, var = norm.running_mean, norm.running_var
        blank = torch.zeros(norm.num_features) if norm.weight is None else torch.zeros_like(norm.weight)
        self.mean: Tensor
        self.var: Tensor
        self.batches: Tensor
        self.register_buffer("mean", (blank if mean is None else mean).expand(n_chips, -1).clone())
        self.register_buffer("var", (blank + 1 if var is None else var).expand(n_chips, -1).clone())
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise. Shape: (K, batch, channels, ...)."""
        if x.dim() < 3 or x.shape[0] != len(self.mean) or x.shape[2] != self.mean.shape[1]:
            wanted = f"({len(self.mean)}, batch, {self.mean.shape[1]}, ...)"
            raise ValueError(f"x must have shape {wanted}, got {tuple(x.shape)}")
        inner = (1, *range(3, x.dim()))
        mean, var = self.mean, self.var
        if self.training or not self.tracks:
            var, mean = torch.var_mean(x, inner, correction=0)
            if self.tracks:
                self._follow(mean.detach(), var.detach(), x.shape[1] * x[0, 0, 0].numel())
        gain = torch.rsqrt(var + self.eps)
        gain = gain if self.weight is None else gain * self.weight
        offset = -mean * gain if self.bias is None else self.bias - mean * gain
        gain, offset = (each.view(len(each), 1, -1, *(1,) * (x.dim() - 3)) for each in (gain, offset))
        return torch.addcmul(offset, x, gain)

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not of as many chips and channels."""
        check_shapes("batch normalisation", state, self.state_dict())

    def copies(self, n_copies: int) -> ChipBatchNorm:
        """Return the layer of K x T chips, copy t of chip k in row k T + t."""
        twin = copy.deepcopy(self)
        twin.mean, twin.var = (each.repeat_interleave(n_copies, 0) for each in (self.mean, self.var))
        return twin

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor, count: int) -> None:
        self.batches += 1
        share = 1.0 / float(self.batches) if self.momentum is None else self.momentum
        self.mean.lerp_(mean, share)
        self.var.lerp_(var * (count / max(count - 1, 1)), share)


@contextlib.contextmanager
def estimating(norms: Iterable[ChipBatchNorm]) -> Iterator[None]:
    """Replace running statistics by those of the batches seen in this context, each counting alike."""
    norms = list(norms)
    before = [(each.training, each.momentum) for each in norms]
    for each in norms:
        each.train()
        each.momentum = None
        each.batches.zero_()
    try:
        yield
    finally:
        for each, (training, momentum) in zip(norms, before, strict=True):
            each.train(training)
            each.momentum = momentum
