"""Train what the delta learner must beat, on its own data: --learner plain, cavia or maml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from agents.baselines.cavia import CaviaCfg
from agents.baselines.maml_full import MamlCfg
from agents.meta_train import MetaTrainCfg
from agents.methods import PLAIN, Method, cavia_method, maml_method
from launch.train_delta import meta_train
from launch.training import Kept


@dataclass(frozen=True)
class TrainPlain:
    """Train the delta learner's network plainly: bodies of every kind, no inner loop; saves after every round."""

    train: tyro.conf.OmitArgPrefixes[MetaTrainCfg] = field(default_factory=MetaTrainCfg)
    """The run."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device: the learner is small and the arms are on the CPU, so auto is the CPU."""

    def method(self) -> Method:
        """Return what is trained."""
        return PLAIN


@dataclass(frozen=True)
class TrainCavia:
    """Meta-train context adaptation (CAVIA) on the delta learner's data; saves after every round."""

    train: tyro.conf.OmitArgPrefixes[MetaTrainCfg] = field(default_factory=MetaTrainCfg)
    """The run."""
    rule: tyro.conf.OmitArgPrefixes[CaviaCfg] = field(default_factory=CaviaCfg)
    """The inner loop."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device; auto is the CPU."""

    def method(self) -> Method:
        """Return what is trained."""
        return cavia_method(self.rule)


@dataclass(frozen=True)
class TrainMaml:
    """Meta-train full-weight MAML on the delta learner's data; saves after every round."""

    train: tyro.conf.OmitArgPrefixes[MetaTrainCfg] = field(default_factory=MetaTrainCfg)
    """The run."""
    rule: tyro.conf.OmitArgPrefixes[MamlCfg] = field(default_factory=MamlCfg)
    """The inner loop."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device; auto is the CPU."""

    def method(self) -> Method:
        """Return what is trained."""
        return maml_method(self.rule)


def run(cfg: TrainPlain | TrainCavia | TrainMaml) -> Path:
    """Train to the end; return the run's folder."""
    return meta_train(cfg, cfg.method())
