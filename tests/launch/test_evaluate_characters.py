"""`evaluate characters`: metrics.json has what programs rely on, and wrong input ends in one line."""

import json

import numpy as np
import pytest

from tests.helpers import options, random_characters_weights, run_here, untrained_classifier

KEYS = {
    *("scenario", "data", "memory", "chips", "seed", "ways", "shots", "tasks", "accuracy", "accuracy_ci95"),
    *("transductive", "devices_total", "devices_written_per_step", "energy_j", "software"),
}
TINY = options({"ways": 3, "shots": 2, "queries": 2, "tasks": 2, "chips": 1, "scratch-tasks": 1})


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    from envs import characters

    monkeypatch.setattr(characters, "GLYPHS", dict.fromkeys(characters.GLYPHS, 12))


@pytest.fixture(scope="module")
def checkpoint():
    return untrained_classifier()


def evaluate(folder, *arguments):
    run_here("evaluate", "characters", *TINY, "--out", str(folder), *arguments)
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("memory", ["hermes_2", "float"])
def test_every_key_is_there_and_every_list_has_an_entry_a_step(checkpoint, tmp_path, memory, capsys):
    metrics = evaluate(tmp_path, "--checkpoint", str(checkpoint), "--memory", memory, "--transductive")
    assert set(metrics) >= KEYS
    wanted = {"scenario": "characters", "memory": memory, "ways": 3, "shots": 2, "tasks": 2, "transductive": True}
    assert {name: metrics[name] for name in wanted} == wanted
    for part in (metrics, metrics["software"]):
        assert np.shape(part["accuracy"]) == (5,)
        assert np.shape(part["accuracy_ci95"]) == (5, 2)
    assert metrics["software"]["accuracy"][0] == pytest.approx(1 / 3)
    if memory == "hermes_2":
        assert metrics["devices_total"] == 4 * (9 * 56 + 3 * 504 * 56 + 3 * 56)
        assert metrics["devices_written_per_step"] == 4 * 3 * 56
        assert metrics["energy_j"] > 0
        assert [rest["age_s"] for rest in metrics["retention"]] == [86400, 2592000]
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path)


def test_released_weights_start_from_their_own_readout_and_are_for_five_ways(tmp_path, capsys):
    released = ["--weights", str(random_characters_weights()), "--transductive"]
    metrics = evaluate(tmp_path / "run", *released, "--ways", "5", "--retention-days")
    assert metrics["retention"] == []
    assert metrics["characters"].endswith("bright paper")
    assert metrics["software"]["accuracy"][0] != 0.2  # a learned start answers, a zero one ties
    with pytest.raises(SystemExit):
        evaluate(tmp_path / "none", *released)
    assert "these weights are for 5 ways, got ways 3" in capsys.readouterr().err


def test_published_weights_see_bright_paper_and_the_other_half_and_are_programmed_once(tmp_path):
    from launch.evaluate_characters import EvaluateCharacters

    plain, released = EvaluateCharacters(), EvaluateCharacters(weights=tmp_path / "none.npz")
    assert plain.family("test").images.mean() < 127 < released.family("test").images.mean()
    assert (plain.asked().chip.looks, released.asked().chip.looks) == (2, 0)
    mirrored = EvaluateCharacters(mirrored=True).family("test").images
    np.testing.assert_array_equal(mirrored[..., ::-1], plain.family("test").images)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--ways", "13"], "ways must be 2 to 12, the characters of drawn glyphs, test; got 13"),
        (["--shots", "19"], "19 shots and 2 queries need more than the 20 drawings"),
        (["--tasks", "0"], "tasks must be at least 1, got 0"),
        (["--chips", "0"], "chips must be at least 1, got 0"),
        (["--memory", "flash"], "unknown memory 'flash'; choose from ['float'"),
        (["--age-s", "nan"], "age_s must be 0 or more and finite, got nan"),
        (["--looks", "-1"], "looks must be 0 to 100, got -1"),
        (["--first-rows", "29"], "first_rows must be 1 to 28, got 29"),
        (["--retention-days", "2", "1"], "retention_s must be positive and rising"),
        (["--data", "{text}"], "damaged or no npz file"),
        (["--data", "{none}"], "No such file"),
        (["--checkpoint", "{text}"], "{text}"),
        (["--checkpoint", "{none}"], "no checkpoint at {none}"),
        (["--weights", "{none}"], "cannot read {none}"),
        (["--weights", "{text}"], "damaged or holds no published weights"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_no_file(checkpoint, tmp_path, capsys, wrong, said):
    (tmp_path / "text").write_text("no arrays")
    places = {"text": tmp_path / "text", "none": tmp_path / "none"}
    wrong, said = [part.format(**places) for part in wrong], said.format(**places)
    network = [] if {"--weights", "--checkpoint"} & set(wrong) else ["--checkpoint", str(checkpoint)]
    with pytest.raises(SystemExit) as ended:
        run_here("evaluate", "characters", *TINY, *network, "--out", str(tmp_path / "run"), *wrong)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
