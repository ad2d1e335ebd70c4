import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from agents.checkpoint import (
    UNFINISHED,
    clear_unfinished,
    digest,
    learner_header,
    learner_tensors,
    load,
    restore_learner,
    save,
    write_whole,
)
from agents.delta import DeltaCfg, DeltaLearner
from agents.network import NetworkCfg
from agents.shipped import load_shipped
from tests.helpers import PLANAR, SCORBOT


@pytest.fixture
def learner(seeded):
    learner = DeltaLearner(NetworkCfg(2, (0, 1), 6, 4), DeltaCfg(steps=7), torch.tensor([0.3, 0.2]))
    learner.draw(seeded())
    return learner


@pytest.fixture
def path(learner, tmp_path):
    save(tmp_path / "a.safetensors", learner_tensors(learner), learner_header(learner, PLANAR, round=3))
    return tmp_path / "a.safetensors"


def test_a_learner_comes_back_as_it_was(learner, path):
    tensors, header = load(path)
    assert (header["env"], header["round"], header["learner"]) == (PLANAR, 3, "delta")
    again = restore_learner(tensors, header)
    assert (again.network, again.rule) == (learner.network, learner.rule)
    assert again.state_dict().keys() == learner.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in learner.state_dict().items())


def test_equal_content_is_equal_bytes(learner, path, tmp_path):
    backwards = dict(reversed(learner_tensors(learner).items()))
    save(tmp_path / "b.safetensors", backwards, learner_header(learner, PLANAR, round=3))
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_digest_sees_names_shapes_types_and_values():
    one = {"a": torch.arange(4.0), "b": torch.zeros(2)}
    assert digest(one) == digest(dict(reversed(one.items())))
    others = [
        {"a": torch.arange(4.0), "c": torch.zeros(2)},
        {"a": torch.arange(4.0).reshape(2, 2), "b": torch.zeros(2)},
        {"a": torch.arange(4.0), "b": torch.zeros(2, dtype=torch.int32)},
        {"a": torch.arange(4.0), "b": torch.tensor([0.0, 1e-30])},
    ]
    assert len({digest(content) for content in (one, *others)}) == 5


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_alone(call, tmp_path, monkeypatch):
    target = tmp_path / "run" / "file"
    write_whole(target, b"old")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in target.parent.iterdir()] == ["file"]


def test_a_file_is_readable_by_others(tmp_path):
    write_whole(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_only_what_is_unfinished_is_cleared(tmp_path, monkeypatch):
    for name in ("file", ".hidden", "notes.unfinished"):
        (tmp_path / name).touch()
    with monkeypatch.context() as patch:  # as if killed: nothing is renamed, nothing cleaned up
        patch.setattr(os, "replace", lambda *_: None)
        write_whole(tmp_path / "file", b"half")
    leftover = {entry.name for entry in tmp_path.iterdir()} - {"file", ".hidden", "notes.unfinished"}
    assert len(leftover) == 1
    assert leftover.pop().endswith(UNFINISHED)
    clear_unfinished(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", ".hidden", "notes.unfinished"}


def test_files_of_others_are_refused(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors")
    save_file({"w": torch.zeros(2)}, tmp_path / "list.safetensors", {"phasearm": "[]"})
    for name, content in (
        ("empty", b""),
        ("text", b"hello"),
        ("torn", (tmp_path / "other.safetensors").read_bytes()[:50]),
    ):
        (tmp_path / name).write_bytes(content)
    for name in ("other.safetensors", "list.safetensors", "empty", "text", "torn"):
        with pytest.raises(ValueError, match=f"{name} is not a PhaseArm checkpoint"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none.*delta-planartrack-v0.safetensors"):
        load(tmp_path / "none")


@pytest.mark.parametrize("length", [0, 8, 100, 0.5, -1])
def test_no_truncation_passes_for_a_checkpoint(length, path):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(length * len(whole)) if isinstance(length, float) else length])
    with pytest.raises(ValueError, match="not a PhaseArm checkpoint"):
        load(path)


def test_headers_that_do_not_fit_are_refused(learner, path):
    tensors, header = load(path)
    with pytest.raises(ValueError, match=r"'eprop'; choose from \['delta'\]"):
        restore_learner(tensors, header | {"learner": "eprop"})
    wrong = [header | {"network": header["network"] | {"hidden": 5}}, {"learner": "delta"}]
    wrong.append(header | {"rule": header["rule"] | {"momentum": 0.9}})
    for one in wrong:
        with pytest.raises(ValueError, match="another version"):
            restore_learner(tensors, one)


def test_only_a_whole_learner_of_the_env_is_deployed(learner, tmp_path):
    calibration = {f"calibration.{name}": torch.ones(2) for name in ("inputs", "head_range", "head_output")}
    tensors, path = learner_tensors(learner) | calibration, tmp_path / "c.safetensors"
    save(path, tensors, learner_header(learner, PLANAR))
    assert load_shipped(path, PLANAR).calibration.keys() == {"inputs", "head_range", "head_output"}
    with pytest.raises(ValueError, match=f"on '{PLANAR}', not on '{SCORBOT}'"):
        load_shipped(path, SCORBOT)
    save(path, tensors | {"learner.head": tensors["learner.head"] / 0}, learner_header(learner, PLANAR))
    with pytest.raises(ValueError, match=r"not finite in \['learner.head'\]"):
        load_shipped(path, PLANAR)
    save(path, learner_tensors(learner), learner_header(learner, PLANAR))
    with pytest.raises(ValueError, match=r"lacks calibration \['head_output', 'head_range', 'inputs'\]"):
        load_shipped(path, PLANAR)


def test_the_header_is_json(path):
    size = int.from_bytes(path.read_bytes()[:8], "little")  # safetensors: length, then JSON, then numbers
    header = json.loads(path.read_bytes()[8 : 8 + size])
    assert json.loads(header["__metadata__"]["phasearm"])["network"]["hidden"] == 6
    assert Path(path).stat().st_size < 5000
