"""Every command and every snippet of the README runs, with numbers shrunk so that it takes seconds."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from tests.helpers import (
    ROOT,
    TINY,
    options,
    random_characters_weights,
    random_spiking_weights,
    run_apart,
    run_here,
    tiny_run,
)

README = (ROOT / "README.md").read_text()
SHELL, PYTHON = {"sh", "bash", "console", "shell"}, {"python", "py"}

# What is appended to a command, so that it runs in seconds; a later option overrides an earlier one. A longer start
# of a command goes before a shorter one.
SHRUNK = {
    "launch.demo": ["--chips", "1", "--tasks", "2"],
    "launch.evaluate dynamics": ["--chips", "1", "--tasks", "2", "--lessons", "1", "--no-random-features"],
    "launch.render dynamics": ["--chips", "1", "--tasks", "4", "--lessons", "1", "--width", "64", "--height", "48"],
    "launch.evaluate trajectory": ["--chips", "1", "--targets", "2"],
    "launch.render trajectory": [
        *("--targets", "2", "--width", "64", "--height", "48", "--pace", "60", "--hold-s", "0.01"),
    ],
    "launch.bench trajectory": options(
        {"batch": 2, "steps": 20, "targets": 2, "oracle-batch": 1, "repeats": 1, "threads": 1}
    ),
    "launch.evaluate characters": options({"data": "glyphs", "chips": 1, "tasks": 2, "scratch-tasks": 1}),
    "launch.render characters": ["--data", "glyphs"],
    "launch.bench characters": options({"tasks": 2, "ways": 2, "shots": 1, "queries": 1, "rounds": 1}),
    "launch.train dynamics": options(TINY),
    "launch.bench chip --floorplan": [],
    "launch.bench chip --maps": ["--lessons", "1"],
    "launch.bench envs": options({"arms": 4, "workers": 1, "raw-arms": 1, "seconds": 0.1, "warm-episodes": 1}),
}
HARMLESS = ("git clone ", "cd ")


def blocks(languages):
    """Return the README's code blocks in one of the languages."""
    found = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands(text):
    """Return the commands of a block: without prompts, comments and outputs; lines are joined, and parted at &&."""
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):  # what has no prompt is what was printed
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    words = [word for line in lines for word in (*shlex.split(line, comments=True), "&&")]
    parts = [list(part) for end, part in itertools.groupby(words, lambda word: word == "&&") if not end]
    return [shlex.join(part) for part in parts]


COMMANDS = sorted({command for block in blocks(SHELL) for command in commands(block)})


def python_arguments(command):
    """Return what follows `python -m` in a command of ours, or None; the virtual environment's python is ours too."""
    found = re.fullmatch(r"(?:\.venv/bin/)?python3? -m (launch\..*)", command)
    return None if found is None else found.group(1)


def shrunk(arguments):
    """Return the script and the arguments of a `python -m` line, shrunk.

    Raises:
        LookupError: The table does not say how.
    """
    for start, extra in SHRUNK.items():
        if arguments == start or arguments.startswith(start + " "):
            script, *rest = shlex.split(arguments)
            return script.removeprefix("launch."), [*without_weights(without_checkpoint(rest)), *extra]
    raise LookupError(f"no test runs 'python -m {arguments}'; add to SHRUNK how it runs in seconds")


def without_checkpoint(arguments):
    """Return the arguments with the checkpoint of a tiny training in place of one that only a long one makes."""
    if "--checkpoint" not in arguments:
        return arguments
    at = arguments.index("--checkpoint") + 1
    env = arguments[arguments.index("--env") + 1] if "--env" in arguments else "envs:PhaseArm/PlanarTrack-v0"
    return [*arguments[:at], str(tiny_run(env) / "learner.safetensors"), *arguments[at + 1 :]]


def without_weights(arguments):
    """Return the arguments with random weights of the spiking arm in place of a file that others released."""
    if "--weights" not in arguments:
        return arguments
    at = arguments.index("--weights") + 1
    made = random_characters_weights() if "characters" in arguments else random_spiking_weights()
    return [*arguments[:at], str(made), *arguments[at + 1 :]]


def make_targets(command):
    """Return the targets that a make command names; ARGS="..." and NAME=value are no targets."""
    return [part for part in shlex.split(command)[1:] if re.fullmatch(r"[a-z]+", part)]


def known_targets():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_leads_with_one_command():
    assert COMMANDS, "README.md has no command in a block of language sh, bash or console"
    assert any(command.startswith(("make run", "python -m launch.demo")) for command in commands(blocks(SHELL)[0]))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(command, tmp_path, monkeypatch, capsys):
    if command.startswith("make"):
        targets = make_targets(command)
        assert targets, command
        assert set(targets) <= known_targets(), f"{command}: the Makefile has {sorted(known_targets())}"
        return
    arguments = python_arguments(command)
    if arguments is None:
        assert command.startswith(HARMLESS), f"no test runs {command!r}: teach tests/test_readme.py how"
        return
    script, rest = shrunk(arguments)
    monkeypatch.chdir(tmp_path)
    if script == "bench":  # it forks, which a process with threads should not
        code, out, err = run_apart("launch.bench", *rest, cwd=tmp_path)
        assert code == 0, err
    else:
        run_here(script, *rest)
        out = capsys.readouterr().out
    folder = Path(out.splitlines()[-1])
    assert folder.is_dir()
    assert any(folder.glob("metrics.json*"))


@pytest.mark.parametrize("number", range(len(blocks(PYTHON))))
def test_a_snippet_runs(number, tmp_path):
    (tmp_path / "snippet.py").write_text(blocks(PYTHON)[number])
    code, _, err = run_apart("snippet", cwd=tmp_path)
    assert code == 0, err


def test_commands_are_found_in_blocks():
    block = "$ make run   # the demo\nBefore any lesson ...\n$ python -m launch.demo \\\n    --chips 2\n"
    assert commands(block) == ["make run", "python -m launch.demo --chips 2"]
    assert commands("# setup\n\nmake test && cd x\n") == ["make test", "cd x"]
    assert [make_targets(one) for one in commands('make run ARGS="--chips two"')] == [["run"]]


def test_an_unknown_command_is_no_pass():
    assert python_arguments("python -m pip install x") is None
    assert python_arguments(".venv/bin/python -m launch.demo --seed 1") == "launch.demo --seed 1"
    with pytest.raises(LookupError, match="add to SHRUNK"):
        shrunk("launch.evaluate swimming")
    assert not "rm -rf runs".startswith(HARMLESS)
