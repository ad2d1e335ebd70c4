"""Files of the few-shot learner: what a run saves, what deployment reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checkpoint import save, under
from .convnet import ConvNetCfg, Statistics, settled_statistics
from .fewshot import Family, task_inputs
from .maml import InnerCfg, MamlLearner, adapt, labels, to_pictures
from .quantize import clip_to_spread, nearest_round

# On a chip errors are a share of the range, and what lies beyond is cut. On hermes_2 a range that cuts a twentieth of
# the weights costs the answers least: .2 points against 1.3 at a thousandth (20 ways, 5 shots).
RANGE_QUANTILE = 0.95
CALIBRATION_PICTURES = 256  # on a chip batch norm settles on them
SETTLING_PICTURES = 4096
RANGE_TASKS = 32


def export(path: Path, learner: MamlLearner, family: Family, train: Mapping[str, Any]) -> None:
    """Write what deployment needs and no more: the learner, settled statistics, a working range, a few pictures.

    Args:
        path: File to write.
        learner: Trained; its outliers are cut, its kernels take their places on the grid of few bits, and it takes up
            the settled statistics.
        family: Training characters.
        train: The run's configuration, for the header.
    """
    spread = train.get("spread", 0.0)  # runs of before it was there did not cut
    for kernel in learner.net.kernel if spread else ():
        kernel.data.copy_(clip_to_spread(kernel.data, spread))
    if train["quantize"]:
        for kernel in learner.net.kernel:
            kernel.data.copy_(nearest_round(kernel.data, train["quantize"]))
    rng = np.random.default_rng([train["seed"], 78])
    pictures = family.images.reshape(-1, *family.images.shape[2:])
    chosen = torch.from_numpy(pictures[rng.integers(0, len(pictures), SETTLING_PICTURES)])
    learner.net.follow(settled(learner, chosen), rate=1.0)
    extra = {
        "calibration.pictures": chosen[:CALIBRATION_PICTURES],
        "calibration.readout_range": readout_range(learner, family, rng),
    }
    save(path, maml_tensors(learner) | extra, maml_header(learner, train=dict(train)))


def settled(learner: MamlLearner, pictures: Tensor) -> Statistics:
    """Return the statistics of batch norm that pictures (n, 28, 28) settle at."""
    net = learner.net
    return settled_statistics(to_pictures(pictures).to(learner.rates.device), list(net.kernel), net.cfg)


@torch.no_grad()
def readout_range(learner: MamlLearner, family: Family, rng: np.random.Generator) -> Tensor:
    """Return what |weight| of adapted readouts mostly stays below, the largest over 5 and 20 ways, 1 and 5 shots."""
    largest = []
    for ways, shots in product((5, 20), (1, 5)):
        episodes = family.sample(RANGE_TASKS, ways, shots, 1, rng)
        support, query = (torch.from_numpy(p).to(learner.rates.device) for p in (episodes.support, episodes.query))
        known = task_inputs(learner, support, query).known
        label = labels(ways, shots, known.device)
        adapted = adapt(learner.start(RANGE_TASKS, ways), known, label, learner.rates)[-1]
        largest.append(torch.quantile(adapted.abs().flatten(), RANGE_QUANTILE))
    return torch.stack(largest).max()


def maml_tensors(learner: MamlLearner) -> dict[str, Tensor]:
    """Return the learner's arrays under the names `restore_maml` reads."""
    return {f"learner.{name}": value for name, value in learner.state_dict().items()}


def maml_header(learner: MamlLearner, **more: Any) -> dict[str, Any]:
    """Return the header that `restore_maml` needs."""
    parts = {"network": dataclasses.asdict(learner.net.cfg), "inner": dataclasses.asdict(learner.inner)}
    return {"learner": "maml", **parts, **more}


def restore_maml(tensors: dict[str, Tensor], header: dict[str, Any]) -> MamlLearner:
    """Build the learner of a checkpoint.

    Raises:
        ValueError: The checkpoint is another learner's, or its arrays do not fit its header.
    """
    if header.get("learner") != "maml":
        raise ValueError(f"checkpoint of learner {header.get('learner')!r}; choose from ['maml']")
    own = under("learner.", tensors)
    try:
        learner = MamlLearner(ConvNetCfg(**header["network"]), InnerCfg(**header["inner"]))
        learner.load_state_dict(own)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"checkpoint of another version of the learner: {error}") from error
    return learner
