"""Render one task of the few-shot classifier: drawings, answers after each step, the readout's devices.

python -m launch.render characters --data omniglot
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agents.checkpoint import write_whole
from agents.maml_showcase import Showcase, show_task
from launch import cli
from launch.evaluate_characters import EvaluateCharacters, classifier_of
from launch.plots_characters import task_png


@dataclass(frozen=True)
class RenderCharacters:
    """One task on one chip as a picture, task.png: what was learned from, what was answered, what the devices hold."""

    ways: int = 5
    """Characters in the task."""
    shots: int = 5
    """Support drawings of each character."""
    queries: int = 5
    """Query drawings of each character."""
    data: str = "glyphs"
    """glyphs: drawn on the fly; omniglot: downloaded once; or a file of Omniglot's arrays."""
    mirrored: bool = False
    """Show all drawings in a mirror."""
    transductive: bool = False
    """Let batch norm use the statistics of the query drawings, as published."""
    memory: str = "hermes_2"
    """What the network lives on: a device (ideal, pcm_like, state_independent, hermes_1, hermes_2), or a JSON or CSV
    table of your own devices."""
    task: int | None = None
    """Number of the task, 0 to 23; default: the hardest, with the most wrong answers over all steps."""
    age_s: float = 3600.0
    """Age of the programmed chip when the task begins, s."""
    seed: int = 0
    """Seed of tasks and chip."""
    weights: Path | None = None
    """The reference's released weights (npz) instead of a checkpoint; they see bright paper."""
    checkpoint: Path | None = None
    """Learner; default: the shipped one."""
    out: Path | None = None
    """Folder for task.png and metrics.json; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse software, which has no devices to show."""
        if self.memory == "float":
            raise ValueError("--memory float has no devices to show; name a device, such as hermes_2")

    def source(self) -> EvaluateCharacters:
        """Return the evaluation of the same network, characters and chip."""
        own = ("ways", "shots", "queries", "data", "mirrored", "transductive", "memory", "age_s", "seed", "weights")
        return EvaluateCharacters(checkpoint=self.checkpoint, chips=1, **{name: getattr(self, name) for name in own})


def run(cfg: RenderCharacters) -> Path:
    """Adapt, draw; end with three lines: the finding, the picture, the folder. Return the folder."""
    with cli.wrong_input():
        source, folder = cfg.source(), cli.run_folder(cfg.out, "render-characters")
        asked, family, classifier = source.asked(), source.family("test"), classifier_of(source)
        family.check(cfg.ways, cfg.shots, cfg.queries)
        show = show_task(classifier, family, asked, cfg.task)
    finding = sentence(show, Path(cfg.memory).stem)
    write_whole(folder / "task.png", task_png(show, finding))
    cli.write_json(folder / "metrics.json", metrics(cfg, show))
    print(finding)
    print(folder / "task.png")
    print(folder)
    return folder


def sentence(show: Showcase, memory: str) -> str:
    """Return the finding."""
    ways, shots = show.support.shape[:2]
    first, last = 100 * show.accuracy[1], 100 * show.accuracy[-1]
    drawings = f"{shots} drawing{'s' if shots > 1 else ''} each"
    return (
        f"{ways} new characters from {drawings}, on {memory}: {first:.0f} % of other drawings are told apart "
        f"after one step, {last:.0f} % after {len(show.pulsed)}"
    )


def metrics(cfg: RenderCharacters, show: Showcase) -> dict[str, object]:
    """Return metrics.json."""
    return {
        "scenario": "characters",
        "memory": Path(cfg.memory).stem,
        "data": cfg.data,
        "seed": cfg.seed,
        "task": show.task,
        "accuracy": show.accuracy.tolist(),
        "devices_pulsed_per_step": show.pulsed.tolist(),
        "command": cli.command_line(),
    }
