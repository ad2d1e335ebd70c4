"""How the baselines of tracking are put to work: adaptive control, ridge refit, CAVIA and full-weight MAML."""

from __future__ import annotations

from typing import Any

from .baselines.cavia import CaviaCfg, CaviaLearner, CaviaPolicy
from .baselines.maml_full import MamlCfg, MamlLearner, MamlPolicy
from .baselines.net_chip import ChipNet, SoftwareNet, deploy_net
from .baselines.ridge import RidgePolicy
from .baselines.rls import RecursiveLeastSquares, RlsCfg
from .baselines.slotine_li import SlotineLi
from .seats import Player, Seat
from .shipped import load_kind, load_shipped


def seat_rls(seat: Seat) -> Player:
    """Recursive least squares; of the true bodies it takes the link lengths, once."""
    return Player(RecursiveLeastSquares(seat.world, seat.bodies))


def seat_rls_nominal(seat: Seat) -> Player:
    """Recursive least squares with the lengths of the nominal arm's links: it is told of no body."""
    return Player(RecursiveLeastSquares(seat.world, seat.bodies, RlsCfg(lengths="nominal")))


def seat_slotine_li(seat: Seat) -> Player:
    """Slotine-Li adaptive control; of the true bodies it takes the link lengths, once."""
    return Player(SlotineLi(seat.world, seat.bodies))


def seat_ridge(seat: Seat) -> Player:
    """The delta learner with its head refitted in software."""
    assert seat.checkpoint is not None
    learner = load_shipped(seat.checkpoint, seat.env_id).learner
    return Player(RidgePolicy(learner, seat.world.unwrapped.arm_cfg, len(seat.bodies)))


def seat_cavia(seat: Seat) -> Player:
    """CAVIA: every chip holds the layers once, for all of its tasks."""
    build = lambda network, rule, scale: CaviaLearner(network, CaviaCfg(**rule), scale)  # noqa: E731
    return _seat_net(seat, "cavia", build, CaviaPolicy, own=False)


def seat_maml(seat: Seat) -> Player:
    """Full-weight MAML: every task has all layers of its own."""
    build = lambda network, rule, scale: MamlLearner(network, MamlCfg(**rule), scale)  # noqa: E731
    return _seat_net(seat, "maml", build, MamlPolicy, own=True)


def _seat_net(seat: Seat, kind: str, build: Any, policy: Any, *, own: bool) -> Player:
    assert seat.checkpoint is not None
    learner, calibration = load_kind(seat.checkpoint, seat.env_id, kind, build)
    tables, n_arms = list(learner.tables), len(seat.bodies)
    if seat.software:
        net: Any = SoftwareNet(tables, n_arms)
    else:
        net = deploy_net(tables, calibration, seat.chip, seat.n_chips, seat.n_tasks, seat.seed, own=own)
    controller = policy(learner, net, seat.world.unwrapped.arm_cfg, n_arms)
    return Player(controller, net.bill, net.advance if isinstance(net, ChipNet) else None)
