"""The spiking arm's weights as files: the shipped checkpoint, any other of ours, and the arrays others released."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .checkpoint import PRETRAINED, load, under
from .eprop import EpropCfg, Weights
from .spiking import NeuronCfg

SHIPPED = PRETRAINED / "trajectory.safetensors"


class Trained(NamedTuple):
    """A meta-trained spiking arm."""

    weights: Weights
    networks: EpropCfg
    header: dict[str, Any]
    """What is known of its training: `iteration`, `hours`, `parts` (the settings, and from which iteration on)."""


def load_trained(path: Path = SHIPPED) -> Trained:
    """Read a checkpoint of `python -m launch.train trajectory`, to resume or to deploy.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint of this learner.
    """
    tensors, header = load(path)
    if header.get("learner") != "eprop":
        raise ValueError(f"{path} is of learner {header.get('learner')!r}; choose from ['eprop']")
    try:
        parts = dict(header["networks"])
        networks = EpropCfg(**{**parts, "trainee": NeuronCfg(**parts["trainee"]), "lsg": NeuronCfg(**parts["lsg"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is of another version of the learner: {error}") from error
    own = under("learner.", tensors)
    return Trained(_checked(path, own, networks), networks, header)


def load_arrays(path: Path, networks: EpropCfg | None = None) -> Weights:
    """Read weights given as plain arrays in npz or safetensors, under the names of the released ones.

    Self-connections are taken out: the released code masks them.

    Args:
        path: The file; arrays named W_in, W_rec, W_out, W_in_lsg, W_rec_lsg, W_out_lsg.
        networks: The networks they are for; None: those of the paper.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, or of other shapes.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give an npz or safetensors file of {list(Weights._fields)}")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
        else:
            arrays = load_file(path)
    except (OSError, EOFError, ValueError, SafetensorError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is neither npz nor safetensors of plain arrays ({error})") from error
    weights = _checked(path, arrays, networks or EpropCfg())
    for recurrent in (weights.W_rec, weights.W_rec_lsg):
        recurrent.fill_diagonal_(0.0)
    return weights


def _checked(path: Path, arrays: Mapping[str, Tensor], networks: EpropCfg) -> Weights:
    """Return the arrays as float32 weights.

    Raises:
        ValueError: One is missing, of another shape, or not finite.
    """
    for name, shape in networks.shapes.items():
        if name not in arrays:
            raise ValueError(f"{path} holds {sorted(arrays)} and lacks {name!r}; needed are {list(Weights._fields)}")
        if tuple(arrays[name].shape) != shape:
            raise ValueError(f"{name} in {path} must have shape {shape}, got {tuple(arrays[name].shape)}")
        if not bool(arrays[name].isfinite().all()):
            raise ValueError(f"{name} in {path} must be finite, got NaN or infinity")
    return Weights(*(arrays[name].to(torch.float32).contiguous() for name in Weights._fields))
