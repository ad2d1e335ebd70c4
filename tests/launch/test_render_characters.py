"""`render characters`: one picture, and what it shows is what the chip did."""

import json

import matplotlib.image
import numpy as np
import pytest

from agents.maml_evaluate import FewShotCfg, load_classifier
from agents.maml_showcase import CANDIDATES, show_task
from envs.characters import load_characters
from tests.helpers import run_here, untrained_classifier


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    from envs import characters

    monkeypatch.setattr(characters, "GLYPHS", dict.fromkeys(characters.GLYPHS, 12))


@pytest.mark.parametrize("ways", ["3", "9"])
def test_a_picture_and_its_figures_are_written(tmp_path, capsys, ways):
    arguments = ["--ways", ways, "--shots", "2", "--queries", "3", "--task", "1", "--out", str(tmp_path)]
    run_here("render", "characters", "--checkpoint", str(untrained_classifier()), *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [str(tmp_path / "task.png"), str(tmp_path)]
    picture = matplotlib.image.imread(tmp_path / "task.png")
    assert picture.shape[0] > 600
    assert picture.shape[1] == 1680
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["task"] == 1
    assert np.shape(metrics["accuracy"]) == (5,)


def test_what_is_shown_belongs_together():
    classifier, family = load_classifier(untrained_classifier()), load_characters("glyphs", "test")
    show = show_task(classifier, family, FewShotCfg(ways=4, shots=2, queries=3))
    assert 0 <= show.task < CANDIDATES
    right = (show.answers == np.arange(4)[:, None]).mean((1, 2))
    np.testing.assert_allclose(show.accuracy[1:], right[1:], rtol=1e-6)
    # hermes_2: a weight errs by up to some 5 % of the largest; and conductances are the weights to a line's scale
    largest = np.abs(show.target).max()
    assert 0.005 < (show.programmed - show.target).std() / largest < 0.08
    # a weight beyond the range is asked for, and programmed, at its line's limit
    assert np.abs(show.programmed - show.target).max() / largest < 0.2
    for conductances, weights in zip(show.after_us, show.programmed, strict=True):
        assert np.corrcoef(conductances, weights)[0, 1] > 0.999
    assert np.abs(show.before_us).mean() < 0.1 * np.abs(show.after_us).mean()
    every = [show_task(classifier, family, FewShotCfg(ways=4, shots=2, queries=3), n).accuracy for n in (7,)]
    assert show.accuracy[1:].sum() <= min(each[1:].sum() for each in every)  # the hardest of all
    again = show_task(classifier, family, FewShotCfg(ways=4, shots=2, queries=3), show.task)
    np.testing.assert_array_equal(again.support, show.support)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--task", "24"], "task must be 0 to 23, got 24"),
        (["--memory", "float"], "--memory float has no devices to show"),
        (["--ways", "13"], "ways must be 2 to 12"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_no_file(tmp_path, capsys, wrong, said):
    with pytest.raises(SystemExit) as ended:
        run_here(
            "render",
            "characters",
            "--checkpoint",
            str(untrained_classifier()),
            "--out",
            str(tmp_path / "run"),
            *wrong,
        )
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "run").exists()
