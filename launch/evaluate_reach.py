"""Evaluate the reward learner on reaching: `python -m launch.evaluate dynamics --env envs:PhaseArm/PlanarReach-v0`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.chip import ChipCfg
from agents.episodes import Controller
from agents.evaluation import Arena
from agents.learners import checkpoints, find_learner
from agents.reward_checkpoint import ShippedReward, load_reward, shipped_reward_paths
from agents.reward_evaluation import evaluate_reach_band
from agents.seats import Seat
from launch import cli

OTHERS = ("nominal", "oracle", "ppo", "rl2")
"""Whom the learner is measured against, in software: the ends of the scale, and PPO and RL2 where they are shipped."""


def run(cfg: Any) -> Path:
    """Evaluate every shipped meta-seed, or the one of --checkpoint; print the table, write the folder; return it.

    Args:
        cfg: The command line of `launch.evaluate dynamics`.
    """
    with cli.wrong_input():
        protocol, folder = cfg.protocol(), cli.run_folder(cfg.out, "evaluate-reach")
        cli.pick_device(cfg.device)
        paths = [cfg.checkpoint] if cfg.checkpoint else shipped_reward_paths(cfg.env)
        if not paths:
            raise ValueError(f"no reward learner is shipped for {cfg.env}; name one with --checkpoint")
        shipped = [load_reward(path, cfg.env) for path in paths]
        bar = cli.progress((2 * len(shipped) + 2 + len(OTHERS)) * len(cfg.bands), "evaluation")
        arenas = [Arena(protocol, band, lambda text: cli.tick(bar, text)) for band in cfg.bands]
    found = {arena.band: evaluate_reach_band(arena, shipped, references(arena)) for arena in arenas}
    bar.close()
    metrics = assemble(cfg, shipped, found)
    cli.write_json(folder / "metrics.json", metrics)
    print(table(metrics))
    print(folder)
    return folder


def references(arena: Arena) -> dict[str, Controller]:
    """Return the others at work in software; those whose checkpoint is not shipped for this world are left out."""
    found = {name: checkpoints(name, arena.cfg.env) for name in OTHERS}
    wanted = [name for name in OTHERS if found[name] or find_learner(name).checkpoint is None]
    return {name: _seated(arena, name, min(found[name].items(), default=(0, None))[1]) for name in wanted}


def _seated(arena: Arena, name: str, checkpoint: Path | None) -> Controller:
    world, cfg, software = arena.world(1), arena.cfg, ChipCfg(memory="float")
    seat = Seat(cfg.env, world, arena.tasks, 1, cfg.tasks, software, cfg.seed, checkpoint)
    return find_learner(name).build(seat).controller


def facts(cfg: Any, learner: str, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Return what metrics.json says of an evaluation besides what it found.

    Args:
        cfg: The command line.
        learner: Who is evaluated.
        trained: What its meta-training was.
    """
    return {
        "scenario": "dynamics",
        "env": cfg.env,
        "learner": learner,
        "memory": Path(cfg.memory).stem,
        "scale": cfg.scale,
        "chips": 1 if cfg.memory == "float" else cfg.chips,
        "tasks": cfg.tasks,
        "seed": cfg.seed,
        **trained,
        "episodes": cfg.protocol().lessons + 1,
        "command": cli.command_line(),
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(cfg).items()},
    }


def assemble(cfg: Any, shipped: Sequence[ShippedReward], found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return metrics.json."""
    trained = {"meta_seeds": [each.seed for each in shipped], "env_steps": [each.env_steps for each in shipped]}
    return {
        **facts(cfg, "reward", trained),
        "bands": {band: parts["policy"] for band, parts in found.items()},
        "software": {"bands": {band: parts["software"] for band, parts in found.items()}},
    }


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people: distances of the tip from its goal in m after 0, 1, ... writes."""
    lines = []
    for band, chip in metrics["bands"].items():
        software = metrics["software"]["bands"][band]
        lines += ["", f"{metrics['env']}, {band}: tip from goal over the last .5 s [m] after k writes, mean"]
        lines.append(f"{'k':<34}" + "".join(f"{k:>8d}" for k in range(metrics["episodes"])))
        rows = {f"policy on {metrics['memory']}": chip["tip_m"], "  its worst tenth": chip["tip_m_worst_tenth"]}
        rows["policy in software"] = software["tip_m"]
        rows |= {key.removesuffix("_tip_m").replace("_", " "): chip[key] for key in chip if key.endswith("_tip_m")}
        rows["share within 5 cm"] = chip["success"]
        lines += [f"{name:<34}" + "".join(f"{value:8.3f}" for value in values) for name, values in rows.items()]
        lines.append(f"{'devices written':<34}" + "".join(f"{value:8.0f}" for value in chip["devices_written"]))
        lines.append(f"{'energy of the lesson, uJ':<34}" + "".join(f"{value * 1e6:8.1f}" for value in chip["energy_j"]))
        low, high = chip["tip_m_ci95"][-1]
        seeds = len(metrics["meta_seeds"])
        lines.append(
            f"after the last: 95 % interval over chips, bodies and {seeds} meta-seeds {low:.3f} to {high:.3f} m"
        )
    return "\n".join(lines)
