"""The page for people from other houses: its snippets run, and what it says of them holds."""

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest

from agents.meta_world import MetaWorldArms
from tests.helpers import ROOT, run_apart

PAGE = (ROOT / "docs" / "other_houses.md").read_text()
SNIPPETS = re.findall(r"^```python ?(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NEEDS = {"contrib": "sb3_contrib", "metaworld": "metaworld"}
SAID = {"contrib": "", "metaworld": "after 5 lessons: success", "": ""}


def test_the_page_has_a_snippet_for_every_house():
    assert [kind for kind, _ in SNIPPETS] == ["", "", "", "contrib", "metaworld"]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(number, tmp_path):
    kind, text = SNIPPETS[number]
    if kind and importlib.util.find_spec(NEEDS[kind]) is None:
        pytest.skip(f"needs {NEEDS[kind]}; the page says how it is installed")
    (tmp_path / "snippet.py").write_text(text)
    code, out, err = run_apart("snippet", cwd=tmp_path)
    assert code == 0, err
    assert SAID[kind] in out


def test_an_arm_of_ones_own_has_both_worlds_and_their_oracles():
    files = [ROOT / "examples" / f"own_arm.{kind}" for kind in ("py", "xml")]
    assert sum(len(file.read_text().splitlines()) for file in files) < 60
    script = f"import runpy; print(sorted(runpy.run_path({str(files[0])!r})['errors'].items()))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows = [line.split() for line in run.stdout.splitlines() if line.startswith("envs:")]
    assert [row[:2] for row in rows] == [
        [f"envs:PhaseArm/Tri{world}-v0", who] for world in ("Track", "Reach") for who in ("nominal", "oracle")
    ]
    error = np.array([float(row[2]) for row in rows]).reshape(2, 2)
    assert (error[:, 1] < 0.1 * error[:, 0]).all()
    shown = [line.split() for line in PAGE.splitlines() if line.startswith("    envs:")]
    assert [(*row[:2], row[3]) for row in shown] == [(*row[:2], row[3]) for row in rows]
    np.testing.assert_allclose([float(row[2]) for row in shown], error.ravel(), atol=2e-3)


def test_a_file_that_does_not_fit_is_named():
    script = f"""
import dataclasses, sys
sys.argv = ["x"]
from envs import ARMS, register_arm
from envs.models import PLANAR
for change in ({{"name": "a", "n_joints": 3}}, {{"name": "b", "q_max_rad": (1.0, 2.0)}}, {{"dt_s": 0.03}}):
    try:
        register_arm(dataclasses.replace(PLANAR, file={str(ROOT / "envs/assets/planar.xml")!r}, **change))
    except ValueError as error:
        print(error)
print(sorted(ARMS))
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    said = run.stdout.splitlines()
    assert "zip()" in said[0] or "link3" in said[0]
    assert "joint limits in the file" in said[1]
    assert said[2] == "another arm is called 'planar'; there are ['planar', 'scorbot']"
    assert said[3] == "['planar', 'scorbot']"


# Meta-World's calls, without Meta-World


def test_meta_worlds_calls_are_answered():
    arms = MetaWorldArms("envs:PhaseArm/PlanarTrack-v0", 3, seed=1000)
    assert arms.call("toggle_sample_tasks_on_reset", False) == (None,) * 3
    assert arms.get_attr("task_name") == ("MetaWorldArms",) * 3
    assert arms.get_attr("terminate_on_success") == (False,) * 3
    arms.call("sample_tasks")
    one, _ = arms.reset()
    first = arms.unwrapped.tasks
    assert {task.split for task in first} == {"test"}
    arms.reset()
    assert arms.unwrapped.tasks == first  # only the evaluator changes bodies
    arms.call("sample_tasks")
    arms.reset()
    assert not set(arms.unwrapped.tasks) & set(first)
    again = MetaWorldArms("envs:PhaseArm/PlanarTrack-v0", 3, seed=1000)
    again.call("sample_tasks")
    np.testing.assert_array_equal(again.reset()[0], one)
    assert again.unwrapped.tasks == first
    assert len(arms.call("sample_tasks", 2, seed=0)) == 3  # with arguments it is the family's own
