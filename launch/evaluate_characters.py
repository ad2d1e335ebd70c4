"""Evaluate the few-shot classifier on characters it never saw: on simulated chips, in software, from scratch.

python -m launch.evaluate characters --data omniglot --ways 5 --shots 5 --memory hermes_2 --chips 8 --tasks 600
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agents.maml_chip import MamlChipCfg
from agents.maml_evaluate import (
    SHIPPED,
    Classifier,
    FewShotCfg,
    evaluate_characters,
    load_classifier,
    load_released,
    steps_of,
)
from envs.characters import Characters, Part, load_characters
from launch import cli

DAY_S = 86400.0
TO_CHIP = ("scale", "programming", "looks", "first_rows", "base", "periphery")  # options that are MamlChipCfg's


@dataclass(frozen=True)
class EvaluateCharacters:
    """Learn N characters from K drawings each, on K chips: accuracy before any step and after each of four."""

    ways: int = 5
    """Characters in a task."""
    shots: int = 5
    """Support drawings of each character."""
    queries: int = 5
    """Query drawings of each character."""
    data: str = "glyphs"
    """glyphs: drawn on the fly; omniglot: downloaded once; or a file of Omniglot's arrays."""
    split: Literal["auto", "vinyals", "halves"] = "auto"
    """Omniglot's test characters: Vinyals' 423, or the evaluation half; auto: the half for --weights, which were
    trained on the other."""
    mirrored: bool = False
    """Show all test drawings in a mirror: characters that are new in a stronger sense."""
    transductive: bool = False
    """Let batch norm use the statistics of the query drawings, as published; else those of training drawings."""
    memory: str = "hermes_2"
    """What the network lives on: float is software, others are devices (ideal, pcm_like, state_independent, hermes_1,
    hermes_2); or a JSON or CSV table of your own devices."""
    chips: int = 8
    """Chips, each programmed once."""
    tasks: int = 600
    """Tasks; every chip meets all of them."""
    seed: int = 0
    """Seed of tasks and chips."""
    age_s: float = 3600.0
    """Age of the programmed chips when the first task begins, s."""
    scale: Literal["column", "matrix", "core"] = "column"
    """What shares one factor from weight to conductance."""
    programming: Literal["verify", "gdp"] = "verify"
    """How kernels are programmed: cell by cell, or then also by gradient descent on the error of products (Buechel et
    al., JETCAS 2023)."""
    looks: int | None = None
    """Second looks after every programming, of kernels and of each step: what came out badly is programmed again.
    Default: 2; with --weights none, as published."""
    first_rows: int = 1
    """Rows of a core that hold each weight of the first kernel, 1 to 28; its 9 rows leave their cores mostly empty."""
    base: Literal["target", "read"] = "target"
    """What a step is added to: the weight that was asked for last, or the one that a read finds."""
    periphery: Literal["ideal", "hermes"] = "ideal"
    """What errs around the arrays besides the resolution of their converters."""
    retention_days: tuple[float, ...] = (1.0, 30.0)
    """Also ask again after these rests, compensated for drift; give none by --retention-days alone."""
    scratch_tasks: int = 100
    """Also train the same network from scratch on the support drawings of so many tasks."""
    weights: Path | None = None
    """The reference's released weights (npz) instead of a checkpoint; they see bright paper."""
    checkpoint: Path | None = None
    """Learner to evaluate; default: the shipped one."""
    out: Path | None = None
    """Folder for metrics.json; default: a new one under runs/."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device; auto is the CPU."""

    def __post_init__(self) -> None:
        """Refuse two networks at once."""
        if self.weights is not None and self.checkpoint is not None:
            raise ValueError(f"--weights {self.weights} and --checkpoint {self.checkpoint} are two networks; name one")

    def asked(self) -> FewShotCfg:
        """Return what is asked of the classifier."""
        common: dict[str, Any] = {name: getattr(self, name) for name in TO_CHIP}
        if self.looks is None:
            common["looks"] = MamlChipCfg.looks if self.weights is None else 0
        chip = MamlChipCfg(memory=cli.memory(self.memory), age_s=self.age_s, **common)
        same = ("ways", "shots", "queries", "tasks", "chips", "seed", "transductive", "scratch_tasks")
        rests = tuple(DAY_S * days for days in self.retention_days)
        return FewShotCfg(retention_s=rests, chip=chip, **{name: getattr(self, name) for name in same})

    def family(self, part: Part) -> Characters:
        """Return the characters of a part, as the network is to see them."""
        auto = "vinyals" if self.weights is None else "halves"
        family = load_characters(self.data, part, auto if self.split == "auto" else self.split)
        family = family if self.weights is None else family.bright_paper()
        return family.mirrored() if self.mirrored and part == "test" else family


def run(cfg: EvaluateCharacters) -> Path:
    """Evaluate, print the table, write the folder; return it."""
    with cli.wrong_input():
        asked, folder = cfg.asked(), cli.run_folder(cfg.out, "evaluate-characters")
        cli.pick_device(cfg.device)
        family, classifier = cfg.family("test"), classifier_of(cfg)
        family.check(cfg.ways, cfg.shots, cfg.queries)
        classifier.begin(cfg.ways)
        bar = cli.progress(steps_of(asked), "evaluation")
    metrics = head(cfg, family) | evaluate_characters(classifier, family, asked, lambda text: cli.tick(bar, text))
    bar.close()
    cli.write_json(folder / "metrics.json", metrics)
    print(table(metrics))
    print(folder)
    return folder


def classifier_of(cfg: EvaluateCharacters) -> Classifier:
    """Return the network that the options name."""
    if cfg.weights is not None:
        return load_released(cfg.weights, cfg.family("train"))
    return load_classifier(cfg.checkpoint or SHIPPED)


def head(cfg: EvaluateCharacters, family: Characters) -> dict[str, Any]:
    """Return what metrics.json says of the run itself."""
    same = ("data", "seed", "ways", "shots", "queries", "tasks", "transductive", "mirrored")
    return {
        "scenario": "characters",
        "memory": Path(cfg.memory).stem,
        "chips": 1 if cfg.memory == "float" else cfg.chips,
        **{name: getattr(cfg, name) for name in same},
        "characters": family.name,
        "command": cli.command_line(),
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(cfg).items()},
    }


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people: right answers in percent."""
    norm = "transductive" if metrics["transductive"] else "not transductive"
    size = f"{metrics['tasks']} tasks on {metrics['chips']} chips"
    lines = [f"{metrics['ways']}-way {metrics['shots']}-shot, {metrics['characters']}; {size}; {norm}"]
    steps = range(len(metrics["accuracy"]))
    lines.append(f"{'right answers, %, after step':<34}" + "".join(f"{step:8d}" for step in steps))
    rows = {f"on {metrics['memory']}": metrics["accuracy"], "in software": metrics["software"]["accuracy"]}
    lines += [f"{name:<34}" + "".join(f"{100 * each:8.2f}" for each in row) for name, row in rows.items()]
    low, high = metrics["accuracy_ci95"][-1]
    lines.append(f"{'  95 % interval after the last':<34}{100 * low:8.2f} to {100 * high:.2f}")
    for rest in metrics.get("retention", []):
        lines.append(f"{'  after a rest of':<24}{rest['age_s'] / DAY_S:5.3g} days{100 * rest['accuracy']:8.2f}")
    if "from_scratch" in metrics:
        scratch = metrics["from_scratch"]
        lines.append(
            f"{'trained from scratch, software':<34}{100 * scratch['accuracy']:8.2f} ({scratch['tasks']} tasks)"
        )
    if metrics["memory"] != "float":
        written = ", ".join(f"{each:,.0f}" for each in metrics["devices_pulsed_per_step"])
        whole = f"{metrics['devices_written_per_step']:,} of {metrics['devices_total']:,} devices"
        lines.append(f"each step programs cells of {whole}; pulses went to {written}")
        parts = metrics["energy_of_support_features_j"], metrics["energy_of_steps_j"]
        lines.append(
            f"energy of learning a task: {1e6 * metrics['energy_j']:.0f} uJ "
            f"({1e6 * parts[0]:.0f} reading the support's features, {1e6 * parts[1]:.0f} in the steps)"
        )
    return "\n".join(lines)
