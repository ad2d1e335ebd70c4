"""`train characters`: what a run leaves behind, how it goes on, and how wrong input ends."""

import csv
import json

import pytest

from tests.helpers import options, run_here, snapshot

TINY = ["--iterations", "3", "--round", "1", "--ways", "3", "--shots", "1", "--queries", "1", "--tasks", "1"]
TRAIN = ["characters", *TINY, *options({"threads": 1})]


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """Few characters and few pictures to settle on: what is tested here does not depend on their number."""
    from agents import maml_checkpoint
    from envs import characters

    monkeypatch.setattr(characters, "GLYPHS", dict.fromkeys(characters.GLYPHS, 24))
    monkeypatch.setattr(maml_checkpoint, "SETTLING_PICTURES", 128)
    monkeypatch.setattr(maml_checkpoint, "RANGE_TASKS", 1)


def test_a_run_leaves_what_is_needed_to_resume_and_to_deploy(tmp_path, capsys):
    run_here("train", *TRAIN, "--out", str(tmp_path / "run"))
    names = {"checkpoint.safetensors", "learner.safetensors", "config.json", "curve.csv", "curve.png"}
    assert set(snapshot(tmp_path / "run")) == names
    assert json.loads((tmp_path / "run/config.json").read_text())["ways"] == 3
    with (tmp_path / "run/curve.csv").open() as file:
        assert [int(line["iteration"]) for line in csv.DictReader(file)] == [1, 2, 3]
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "run")


def test_a_run_stopped_after_a_round_resumes_to_the_same_files(tmp_path, monkeypatch):
    from agents.maml_train import MamlTrainer

    run_here("train", *TRAIN, "--out", str(tmp_path / "whole"))
    whole, rounds = MamlTrainer.run_round, []

    def stopping(self):
        if len(rounds) == 2:
            raise KeyboardInterrupt
        rounds.append(whole(self))
        return rounds[-1]

    monkeypatch.setattr(MamlTrainer, "run_round", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_here("train", *TRAIN, "--out", str(tmp_path / "stopped"))
    monkeypatch.setattr(MamlTrainer, "run_round", whole)
    run_here("train", *TRAIN, "--out", str(tmp_path / "stopped"), "--resume")
    first, second = (snapshot(tmp_path / name) for name in ("whole", "stopped"))
    for name in ("checkpoint.safetensors", "learner.safetensors", "curve.csv", "curve.png"):
        assert first[name] == second[name], name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--ways", "97"], "ways must be 2 to 96, the characters of drawn glyphs, train, rotated; got 97"),
        (["--shots", "20"], "shots must be 1 to 19, got 20"),
        (["--data", "{text}"], "damaged or no npz file"),
        (["--data", "{none}"], "No such file"),
        (["--net", "huge"], "huge"),
        (["--resume"], "--resume needs --out"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_no_file(tmp_path, capsys, wrong, said):
    (tmp_path / "text").write_text("no arrays")
    wrong = [part.format(text=tmp_path / "text", none=tmp_path / "none.npz") for part in wrong]
    out = [] if "--resume" in wrong else ["--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        run_here("train", *TRAIN, *out, *wrong)
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "run").exists()
