"""`launch.render dynamics` on a Reach world: one video of a body's first episodes, two learners side by side."""

import json

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from agents.reach_showcase import Life, typical
from launch.film_reach import HOLD_FRAMES, text_line
from launch.render import RenderDynamics
from launch.render_reach import lessons, sentence, title
from tests.helpers import PLANAR, run_here

REACH = "envs:PhaseArm/PlanarReach-v0"
SMALL = ["--chips", "1", "--tasks", "3", "--lessons", "1", "--width", "64", "--height", "48"]


def life(learner="reward", memory="hermes_2"):
    tip_m = np.array([[[0.9, 0.2], [0.8, 0.1], [0.7, 0.4]]])  # (1 chip, 3 bodies, 2 episodes)
    return Life(learner, memory, tip_m, np.array([[[0, 1040], [0, 990], [0, 1000]]]), [])


def test_the_body_that_is_filmed_ends_with_the_median_error():
    assert typical(life()) == 0  # .1, .2, .4


def test_what_is_written_above_the_arm():
    assert lessons(life(), 0) == ["before any write", "after 1 write (the last: 1,040 devices)"]
    assert lessons(life(memory="float")._replace(devices_written=np.zeros((1, 3, 3))), 0)[2] == "after 2 writes"
    assert lessons(life("rl2", "float"), 0) == ["nothing is written"] * 2
    assert title(life()) == "from reward (ours), on hermes_2"
    assert title(life("rl2", "float")) == "RL2, in software"
    assert title(life("nominal", "float")) == "nominal, told an average arm's equations"
    assert sentence(life(), 2).endswith("the tip ends 0.70 m from its goal before any lesson, 0.40 m after 1")


def test_lessons_are_those_of_the_world():
    assert [RenderDynamics(env=env).protocol().lessons for env in (PLANAR, REACH)] == [5, 3]


def test_the_right_end_of_a_line_is_left_out_where_there_is_no_room():
    assert (text_line(64, "episode 1: before any write", "tip") == text_line(64, "episode 1: before any write")).all()
    assert (text_line(400, "episode 1", "tip") != text_line(400, "episode 1")).any()


def test_a_body_is_filmed_through_its_episodes(tmp_path, capsys):
    run_here("render", "dynamics", "--env", REACH, "--out", str(tmp_path / "run"), "--beside", "rl2", *SMALL)
    said = capsys.readouterr().out.splitlines()
    video = tmp_path / "run" / "learning.mp4"
    assert said[-2:] == [str(video), str(tmp_path / "run")]
    frames = imageio_ffmpeg.read_frames(str(video))
    about = next(frames)
    assert about["size"] == (2 * 64, 48 + 3 * 26)
    assert len(list(frames)) == 2 * (51 + HOLD_FRAMES)
    assert Image.open(video.with_suffix(".png")).size == about["size"]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    shown = metrics["shown_body"]
    assert set(shown["tip_m"]) == {"reward", "rl2"}
    first, last = shown["tip_m"]["reward"]
    assert f"ends {first:.2f} m from its goal before any lesson, {last:.2f} m after 1" in said[-3]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--beside", "delta"], ["'delta'", "PlanarTrack", "PlanarReach"]),
        (["--beside", "clever"], ["clever", "rl2"]),
        (["--body", "3"], ["--body", "0 to 2"]),
        (["--memory", "paper"], ["paper", "hermes_2"]),
        (["--checkpoint", "agents/pretrained/delta-planartrack-v0.safetensors"], ["'delta'", "['reward']"]),
    ],
)
def test_wrong_input_ends_with_two_and_what_would_be_right(arguments, named, tmp_path, capsys):
    with pytest.raises(SystemExit) as ending:
        run_here("render", "dynamics", "--env", REACH, "--out", str(tmp_path / "run"), *SMALL, *arguments)
    assert ending.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert all(each in said for each in named), said
    assert not (tmp_path / "run").exists()
