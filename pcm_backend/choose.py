"""A choice by mask that is as exact as `torch.where` and several times faster on a CPU."""

from __future__ import annotations

from torch import Tensor


def choose(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """Return yes where the mask is true and no elsewhere; both must be finite.

    `lerp` gives its ends exactly at weights 0 and 1 and runs in vector instructions, which `where` does not.
    """
    return no.lerp(yes, mask.to(no.dtype))


def put(kept: Tensor, mask: Tensor, new: Tensor) -> None:
    """Set the masked elements of a tensor or view in place, and leave the others as they are, to the bit."""
    kept.lerp_(new, mask.to(kept.dtype))
