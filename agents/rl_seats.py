"""How the suite puts PPO and RL2 on their memories."""

from __future__ import annotations

from .baselines.actor_chip import SoftwareActor, deploy_actor
from .baselines.actor_policy import policy_on
from .baselines.actors import load_trained
from .seats import Player, Seat


def seat_rl(seat: Seat) -> Player:
    """Put PPO or RL2 on its memory; neither writes to it."""
    assert seat.checkpoint is not None
    trained = load_trained(seat.checkpoint, seat.env_id)
    if seat.software:
        return Player(policy_on(trained, SoftwareActor(trained, seat.n_tasks)))
    actor = deploy_actor(trained, seat.chip, seat.n_chips, seat.n_tasks, seat.seed)
    return Player(policy_on(trained, actor), actor.bill, actor.advance)
