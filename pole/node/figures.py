"""Metrics that a role's loop refreshes after a pass: the round, the account's money."""

import time
from typing import TYPE_CHECKING

from prometheus_client import Counter, Enum, Gauge

from pole.chain.gradient_structs import HeightPhase
from pole.chain.structs import Phase
from pole.errors import TransientChainError
from pole.metrics import REGISTRY, STATE, failed

if TYPE_CHECKING:
    from pole.node.context import RoleContext

_REFRESH_S = 5.0

_ROUND = Gauge("pole_round", "Id of a lane's current round; 0 if there is none.", ["lane"], registry=REGISTRY)
_PHASE = Enum(
    "pole_phase",
    "Phase of a lane's current round.",
    ["lane"],
    states=[phase.name.lower() for phase in Phase],
    registry=REGISTRY,
)
_BALANCE = Gauge("pole_balance_wei", "Ether of the account itself.", registry=REGISTRY)
_CREDIT = Gauge("pole_credit_wei", "What the account can withdraw.", registry=REGISTRY)
_STAKE = Gauge("pole_stake_wei", "A verifier's stake.", registry=REGISTRY)
_HEIGHT = Gauge("pole_gradient_height", "Height that the gradient chain works on.", registry=REGISTRY)
_HEIGHT_PHASE = Enum(
    "pole_gradient_phase",
    "Phase of the gradient chain's current height.",
    states=[phase.name.lower() for phase in HeightPhase],
    registry=REGISTRY,
)
_BOND = Gauge("pole_gradient_bond_wei", "A miner's bond on the gradient chain.", registry=REGISTRY)
STEPS = Counter(
    "pole_gradient_steps", "Training steps on the gradient chain, those that were in vain too.", registry=REGISTRY
)
HEIGHTS = Counter(
    "pole_gradient_heights",
    "Heights of the gradient chain that ended while the miner ran: won, lost, or none without a block.",
    ["outcome"],
    registry=REGISTRY,
)


def polled(context: "RoleContext") -> None:
    """A pass of the loop succeeded; what nobody reads is not asked of the node."""
    STATE.polled_at = now = time.monotonic()
    if not STATE.is_served or (STATE.refreshed_at is not None and now - STATE.refreshed_at < _REFRESH_S):
        return
    STATE.refreshed_at = now
    try:
        _refresh(context)
    except TransientChainError as exc:
        failed(exc)


def _refresh(context: "RoleContext") -> None:
    for lane in context.contracts.lanes:
        current, number = lane.learning_chain.current_round(), str(lane.lane + 1)
        _ROUND.labels(number).set(0 if current is None else current.round_id)
        _PHASE.labels(number).state((Phase.NONE if current is None else current.phase).name.lower())
    height = context.contracts.gradient_chain.current()
    _HEIGHT.set(height.height)
    _HEIGHT_PHASE.state(height.phase.name.lower())
    context.chain.block_time()
    if not context.has_account:
        return
    address = context.address
    _BALANCE.set(context.chain.balance_wei(address))
    _CREDIT.set(context.contracts.reward_reservoir.credit_wei(address))
    if context.role == "miner":
        _BOND.set(context.contracts.gradient_chain.miner(address).bond_wei)
    if context.role == "verifier":
        _STAKE.set(context.contracts.verifier_committee.verifier(address).stake_wei)
