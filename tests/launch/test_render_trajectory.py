"""`launch.render trajectory`: a video that a player takes, the arm over the spikes that drove it."""

import json

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from launch.film_trajectory import raster, until
from tests.helpers import run_here


def test_a_video_of_both_sides(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PHASEARM_RENDER", "software")
    small = ["--targets", "2", "--width", "64", "--height", "48", "--pace", "60", "--hold-s", "0.01"]
    run_here("render", "trajectory", "--seed", "1001", "--target", "1", "--out", str(tmp_path), *small)
    frames = imageio_ffmpeg.read_frames(str(tmp_path / "trajectory.mp4"))
    assert next(frames)["size"] == (128, 220)  # 30 of title, 48 of arm, 126 and 16 of spikes
    assert sum(1 for _ in frames) == 5 + 25
    assert Image.open(tmp_path / "trajectory.png").size == (128, 220)
    assert json.loads((tmp_path / "metrics.json").read_text())["target"] == 1
    assert "target 1: before the write" in capsys.readouterr().out


def test_a_raster_has_a_dot_for_every_spike():
    spikes = np.zeros((10, 8), dtype=bool)
    spikes[3, 4] = spikes[9, 7] = True
    ink = raster(spikes, 20)
    assert ink.shape == (4, 20)
    # two columns a step, two neurons a row
    assert np.argwhere(ink).tolist() == [[2, 6], [2, 7], [3, 18], [3, 19]]
    picture = until(ink, 0.5)
    assert picture.shape == (4 + 16, 20 + 16, 3)
    past, to_come = picture[8 + 2, 8 + 6], picture[8 + 3, 8 + 18]
    assert past.max() < to_come.min()
    assert (picture[8, 8 + 10] != 255).any()  # the line of now


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--width", "33"], ["width", "got 33", "even"]),
        (["--pace", "0"], ["pace", "got 0", "1 to 249"]),
        (["--target", "16"], ["target", "got 16", "0 to 15"]),
        (["--memory", "flash"], ["flash", "hermes_2"]),
    ],
)
def test_wrong_input(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_here("render", "trajectory", "--out", str(tmp_path / "run"), *arguments)
    assert ended.value.code == 2
    text = " ".join(capsys.readouterr().err.split())
    assert all(word in text for word in words), text
    assert not (tmp_path / "run").exists()
