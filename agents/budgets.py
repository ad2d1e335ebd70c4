"""What each shipped learner was trained with: environment steps, read from the headers of the checkpoints."""

from __future__ import annotations

from typing import Any

from .checkpoint import PRETRAINED, load


def budgets(env_id: str) -> dict[str, str]:
    """Return by learner the environment steps of its shipped checkpoints on `env_id`, as in "10,035,200".

    A header says `env_steps`; what of older runs is not said there is left out.
    """
    name, found = env_id.rsplit("/", maxsplit=1)[-1].lower(), {}
    for path in sorted(PRETRAINED.glob(f"*-{name}*.safetensors")):
        header: dict[str, Any] = load(path)[1]
        steps = header.get("env_steps")
        if steps is not None:
            learner = path.name.split(f"-{name}")[0]
            found.setdefault(learner, set()).add(int(steps))
    return {learner: " and ".join(f"{n:,}" for n in sorted(steps)) for learner, steps in found.items()}
