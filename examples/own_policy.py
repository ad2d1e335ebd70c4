"""Put a torch policy of your own on eight chips, teach it a new arm there, age it a month, and read the bill.

The policy holds an arm of two joints. Then its motors weaken, and the policy's last layer, on the chip, is taught what
that takes: by the delta rule (error times activity), one write after each lesson.    python examples/own_policy.py
"""

import torch
from torch import Tensor, nn

from pcm_backend import CrossbarCfg, deploy

CHIPS, LESSONS, BATCH, RATE, MONTH_S = 8, 6, 256, 3.0, 30 * 86400.0
NEW, OLD = torch.tensor([0.5, 0.7]), torch.ones(2)  # torque of an arm's motors over that of the old ones


def states(n: int, generator: torch.Generator) -> Tensor:
    """Draw angles (rad) and velocities (rad/s) of both joints. Shape: (n, 4)."""
    return 2.0 * torch.rand(n, 4, generator=generator) - 1.0


def wanted(x: Tensor, strength: Tensor) -> Tensor:
    """Return what a good controller commands, against gravity, position and velocity. Shape: (..., 2)."""
    return (0.8 * torch.sin(x[..., :2]) - 0.6 * x[..., :2] - 0.2 * x[..., 2:]) / strength


generator = torch.manual_seed(1000)  # torch's own generator, from which nn.Linear draws too
policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(policy.parameters(), 0.01)
for _ in range(500):  # the old arm, in software
    optimizer.zero_grad()
    x = states(BATCH, generator)
    (policy(x) - wanted(x, OLD)).square().mean().backward()
    optimizer.step()

head = CrossbarCfg(headroom=2.0, slices=2, out_range=2.5)  # room for weights and outputs that grow
seen = states(BATCH, generator)
chips = deploy(policy, n_chips=CHIPS, generator=generator, calibration=seen, layers={"2": head})
exam = states(1000, generator).expand(CHIPS, -1, -1)  # (K, batch, 4): the same inputs for every chip
errors: dict[str, float] = {}


def note(stage: str, strength: Tensor = NEW) -> None:
    """Print the root mean square error of the commands, over all chips."""
    errors[stage] = float((chips(exam) - wanted(exam, strength)).square().mean().sqrt())
    print(f"{stage:<32} error {errors[stage]:.3f}")


note("old arm", OLD)
note("new arm")
for lesson in range(LESSONS):
    x = states(BATCH, generator).expand(CHIPS, -1, -1)
    activity = torch.tanh(chips.layers["0"](x))
    error = wanted(x, NEW) - chips.layers["2"](activity)
    step = RATE * error.transpose(1, 2) @ activity / activity.square().sum((1, 2)).view(-1, 1, 1)
    report = chips.crossbars["2"].write(step)  # what one write took, for each chip
    note(f"lesson {lesson + 1}, {report.devices.mean():.0f} devices, {report.energy_j.mean() * 1e6:.1f} uJ")
chips.advance(MONTH_S)
note("a month later")
print(chips.ledger)
