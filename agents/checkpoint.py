"""Checkpoints: numbers in safetensors, the configuration as JSON in its header; written whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from .delta import DeltaCfg, DeltaLearner
from .network import NetworkCfg

L = TypeVar("L", bound=nn.Module)
PRETRAINED = Path(__file__).parent / "pretrained"
UNFINISHED = ".unfinished"  # how the name of a file ends while it is being written


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's files are for the owner alone
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed `write_whole` left in a folder; it was never under the name of a whole file."""
    for leftover in folder.glob(f".*{UNFINISHED}"):
        leftover.unlink(missing_ok=True)


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header; equal content gives equal bytes."""
    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in sorted(tensors.items())}
    write_whole(path, to_bytes(plain, {"phasearm": json.dumps(header, sort_keys=True)}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint of this project.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}; shipped are {sorted(p.name for p in PRETRAINED.glob('*.safetensors'))}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["phasearm"])
            if not isinstance(header, dict):
                raise KeyError("phasearm")
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a PhaseArm checkpoint ({error}); make one with python -m launch.train"
        ) from error


def load_of(path: Path, env_id: str, learner: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote of a learner (None: any) that was trained on `env_id`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint of this project, or one of another learner or family of tasks.
    """
    tensors, header = load(path)
    if learner not in (None, header.get("learner")):
        raise ValueError(f"{path} is of learner {header.get('learner')!r}; choose from {[learner]}")
    if header.get("env") != env_id:
        raise ValueError(
            f"{path} was trained on {header.get('env')!r}, not on {env_id!r}; choose a checkpoint of that env"
        )
    return tensors, header


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def check_arrays(what: str, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the arrays of a checkpoint if they can take the place of one's own.

    Raises:
        ValueError: They have other names or shapes.
    """
    theirs, mine = ({name: tuple(each.shape) for name, each in arrays.items()} for arrays in (tensors, own))
    if other := sorted(name for name in theirs | mine if theirs.get(name) != mine.get(name)):
        raise ValueError(
            f"{what} of the checkpoint does not fit in {other}: there {[theirs.get(name) for name in other]}, "
            f"here {[mine.get(name) for name in other]}"
        )
    return tensors


def check_settings(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Refuse to go on with a run of other settings.

    Raises:
        ValueError: Settings differ.
    """
    other = {k: (theirs.get(k), ours.get(k)) for k in {**ours, **theirs} if theirs.get(k) != ours.get(k)}
    if other:
        raise ValueError(f"{path} is of a run with other settings (there, here): {other}; resume with the same ones")


def entries(path: Path, header: Mapping[str, Any], *names: str) -> list[Any]:
    """Return what a checkpoint's header says under some names.

    Raises:
        ValueError: It says nothing there.
    """
    if missing := [name for name in names if name not in header]:
        raise ValueError(f"{path} does not say its {missing}: it is of another version")
    return [header[name] for name in names]


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 over names, shapes and bytes: equal for equal runs."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return total.hexdigest()


def learner_header(learner: Any, env_id: str, kind: str = "delta", **more: Any) -> dict[str, Any]:
    """Return the header of a learner's checkpoint: what `restore_learner` needs, or the `fill` of another kind."""
    parts = {"network": dataclasses.asdict(learner.network), "rule": dataclasses.asdict(learner.rule)}
    return {"learner": kind, "env": env_id, **parts, **more}


def restore_learner(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> DeltaLearner:
    """Build the learner of a checkpoint.

    Raises:
        ValueError: The checkpoint is another learner's, or its arrays do not fit its header.
    """
    return restore(tensors, header, "delta", build_delta)


def build_delta(network: NetworkCfg, rule: dict[str, Any], scale: Tensor) -> DeltaLearner:
    """Return an untrained delta learner from its settings."""
    return DeltaLearner(network, DeltaCfg(**rule), scale)


def restore(tensors: Mapping[str, Tensor], header: Mapping[str, Any], kind: str, build: Callable[..., L]) -> L:
    """Build the learner of a checkpoint.

    Args:
        tensors: Arrays, those of the learner named learner.*.
        header: What `learner_header` made.
        kind: The kind of learner that is expected.
        build: From NetworkCfg, the rule's settings by name and a scale of actions to an untrained learner.

    Raises:
        ValueError: The checkpoint is another learner's, or its arrays do not fit its header.
    """
    if header.get("learner") != kind:
        raise ValueError(f"checkpoint of learner {header.get('learner')!r}; choose from {[kind]}")
    own = under("learner.", tensors)
    try:
        network = dict(header["network"], parallel_joints=tuple(header["network"]["parallel_joints"]))
        learner = build(NetworkCfg(**network), header["rule"], torch.ones(network["n_joints"]))
        learner.load_state_dict(own)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"checkpoint of another version of the learner: {error}") from error
    return learner


def learner_tensors(learner: nn.Module) -> dict[str, Tensor]:
    """Return the learner's arrays under the names `restore_learner` reads."""
    return {f"learner.{name}": value for name, value in learner.state_dict().items()}
