"""Film a body that learns to reach over its first episodes: `python -m launch.render dynamics` with a Reach env."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.chip import ChipCfg
from agents.evaluation import Arena
from agents.reach_showcase import Life, live, typical
from launch import cli
from launch.figure_style import look
from launch.film_reach import Side, film

LEARNER = "reward"
TOLD = {"nominal": "an average arm's equations", "oracle": "its body"}
"""What a controller is told that the learner is not."""


def run(cfg: Any, name: str = "render-dynamics") -> Path:
    """Run both learners, film one body; end with three lines: the finding, the video, the folder. Return the folder.

    Args:
        cfg: The command line of `launch.render dynamics`.
        name: What a new folder under runs/ begins with.
    """
    with cli.wrong_input():
        protocol, folder = cfg.protocol(), cli.run_folder(cfg.out, name)
        cli.pick_device(cfg.device)
        bar = cli.progress(3, "lessons and video")
        arena = Arena(protocol, cfg.band, lambda text: cli.tick(bar, text))
        other = live(arena, cfg.beside, ChipCfg(memory="float"))
        lives = [live(arena, LEARNER, protocol.chip, cfg.checkpoint), other]
    body = typical(lives[0]) if cfg.body is None else cfg.body
    print(table(lives))
    folder.mkdir(parents=True, exist_ok=True)
    sides = [Side(title(life), life.arm(body), lessons(life, body)) for life in lives]
    video = film(folder / "learning.mp4", cfg.env, arena.tasks[body], sides, (cfg.width, cfg.height))
    cli.tick(bar, "video")
    bar.close()
    cli.write_json(folder / "metrics.json", summary(arena, lives, body))
    print(sentence(lives[0], body))
    print(video)
    print(folder)
    return folder


def title(life: Life) -> str:
    """Return who acts, and what it lives on or is told."""
    name = look(life.learner).name
    if life.learner in TOLD:
        return f"{name}, told {TOLD[life.learner]}"
    return f"{name}, in software" if life.memory == "float" else f"{name}, on {life.memory}"


def lessons(life: Life, body: int) -> list[str]:
    """Return what was learned before each episode of a body on the first chip."""
    written = life.devices_written[0, body]
    if life.learner != LEARNER:
        return ["nothing is written"] * len(written)
    counts = [f" (the last: {n:,.0f} devices)" if n else "" for n in written]
    after = [f"after {k} write{'s' if k > 1 else ''}{counts[k]}" for k in range(1, len(written))]
    return ["before any write", *after]


def table(lives: list[Life]) -> str:
    """Return the mean distances of all bodies and chips."""
    n = lives[0].tip_m.shape[-1]
    lines = [f"{'tip from goal, last .5 s [m], after k lessons':<48}" + "".join(f"{k:>8d}" for k in range(n))]
    lines += [f"{title(life):<48}" + "".join(f"{v:8.3f}" for v in life.tip_m.mean(axis=(0, 1))) for life in lives]
    chips, tasks, _ = lives[0].tip_m.shape
    return "\n".join([*lines, f"means over {tasks} bodies and, on a chip, {chips} chips"])


def sentence(life: Life, body: int) -> str:
    """Return what the film shows."""
    first, last = life.tip_m[0, body, [0, -1]]
    ends = f"{first:.2f} m from its goal before any lesson, {last:.2f} m after {life.tip_m.shape[-1] - 1}"
    return f"body {body}, the one filmed: the tip ends {ends}"


def summary(arena: Arena, lives: list[Life], body: int) -> dict[str, Any]:
    """Return metrics.json."""
    means = {life.learner: {"memory": life.memory, "tip_m": life.tip_m.mean(axis=(0, 1)).tolist()} for life in lives}
    shown = {life.learner: life.tip_m[0, body].tolist() for life in lives}
    cfg = arena.cfg
    return {
        **{"scenario": "dynamics", "env": cfg.env, "chips": cfg.chips, "tasks": cfg.tasks, "seed": cfg.seed},
        **{"command": cli.command_line(), "learners": means},
        "shown_body": {"index": body, "task": arena.tasks[body].to_json(), "tip_m": shown},
    }
