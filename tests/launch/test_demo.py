"""The demo with tiny numbers: three last lines, a page that needs nothing else, and videos that play."""

import base64
import json
import re
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.helpers import PLANAR, run_apart, run_here

NUMBER = r"[\d,.e+-]+"
SENTENCE = re.compile(
    rf"Before any lesson the arm misses by ({NUMBER}) rad; after 5 lessons \(10 s of motion, ({NUMBER}) device writes, "
    rf"({NUMBER}) uJ\) by ({NUMBER}); perfect knowledge of its body would give ({NUMBER})\."
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's standard output and folder, from a process of its own that was not told where to write."""
    working = tmp_path_factory.mktemp("demo")
    code, out, err = run_apart("launch.demo", "--chips", "1", "--tasks", "3", cwd=working)
    assert code == 0, err
    assert err == ""
    return out, working


def test_it_ends_with_the_finding_the_page_and_the_folder(demo):
    out, working = demo
    sentence, page, folder = out.splitlines()[-3:]
    before, devices, energy, after, oracle = (float(n.replace(",", "")) for n in SENTENCE.fullmatch(sentence).groups())
    assert before > 0
    assert after > 0
    assert oracle > 0
    assert devices > 100
    assert energy > 0
    assert Path(folder).parts[0] == "runs"
    assert (working / folder).is_dir()
    assert working / page == working / folder / "report.html"
    metrics = json.loads((working / folder / "metrics.json").read_text())
    assert (metrics["env"], metrics["chips"], metrics["tasks"], metrics["sentence"]) == (PLANAR, 1, 3, sentence)
    assert metrics["rmse_rad"][0] == pytest.approx(before, abs=6e-4)
    assert metrics["rmse_rad"][5] == pytest.approx(after, abs=6e-4)


def test_a_lesson_table_comes_first(demo):
    out, _ = demo
    rows = [line.split() for line in out.splitlines() if re.match(r"\s+\d\s+0\.|\s+\d\s+1\.", line)]
    assert [int(row[0]) for row in rows] == list(range(6))
    assert float(rows[0][2]) == 0  # nothing is written before the first episode
    assert all(float(row[2]) > 0 for row in rows[1:])


def test_the_page_needs_nothing_else(demo):
    out, working = demo
    page = (working / out.splitlines()[-2]).read_text()
    loaded = re.findall(r"(?:src|href|xlink:href|poster|data)\s*=\s*[\"']([^\"']+)", page)
    assert sum(address.startswith("data:video/mp4;base64,") for address in loaded) == 2
    assert all(address.startswith(("data:", "#")) for address in loaded), loaded
    assert not re.search(r"url\(\s*[\"']?(?!#|data:)|@import|<script[^>]+src", page)
    assert SENTENCE.search(page)
    assert "python -m launch.demo --chips 1 --tasks 3" in page


def test_the_videos_play_and_are_those_of_the_page(demo):
    out, working = demo
    folder = working / out.splitlines()[-1]
    page = (folder / "report.html").read_text()
    for name in ("before.mp4", "after.mp4"):
        video = folder / name
        assert base64.b64encode(video.read_bytes()).decode() in page
        reader = imageio_ffmpeg.read_frames(str(video))
        about = next(reader)
        assert about["size"] == (560, 420)
        assert about["fps"] == 50  # a frame a control step: as fast as the arm moved
        assert len(list(reader)) == 101
    assert (folder / "before.mp4").read_bytes() != (folder / "after.mp4").read_bytes()


def test_nothing_half_written_stays(demo):
    out, working = demo
    folder = working / out.splitlines()[-1]
    assert {path.name for path in folder.iterdir()} == {"before.mp4", "after.mp4", "metrics.json", "report.html"}
    assert [path.name for path in working.iterdir()] == ["runs"]


def test_render_films_the_body_it_is_asked_for(tmp_path, capsys):
    numbers = ("--chips", "1", "--tasks", "2", "--lessons", "1", "--width", "64", "--height", "48", "--memory", "ideal")
    run_here("render", "dynamics", *numbers, "--body", "1", "--out", str(tmp_path / "run"))
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == [str(tmp_path / "run" / "report.html"), str(tmp_path / "run")]
    assert re.search(r"after 1 lessons? \(2 s of motion", printed[-3])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["shown_body"]["index"] == 1
    assert next(imageio_ffmpeg.read_frames(str(tmp_path / "run" / "after.mp4")))["size"] == (64, 48)
