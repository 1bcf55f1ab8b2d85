"""Where ether and tokens went: each event of the reservoir and the token as a flow from one place to another."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from explorer.chain.events import Event
from explorer.index.keys import NO_ACCOUNT
from pole.chain.structs import Pot

ETHER, TOKEN = "wei", "token"
MONEY = ("Deposited", "Moved", "Credited", "Transfer")
"""Events of the reservoir and the token that move something between places."""
_COMMITTED = "commits of a lane's round"
"""Where bonds and judging fees wait until commits close: in the lane, not in the reservoir."""


@dataclass(frozen=True)
class Flow:
    """`source` and `target` are words or addresses; `purpose` says in a few words what for."""

    event: Event
    source: str
    target: str
    amount: int
    unit: str
    purpose: str


def flows(events: Iterable[Event], labels: Mapping[str, str], payers: Mapping[int, str]) -> list[Flow]:
    """`labels`: contracts by address; `payers`: accounts by id of the deposits that they made."""
    return list(_flows(events, labels, payers))


def amount_field(event: Event) -> str:
    """The argument of an event that says how much moved."""
    return {"Transfer": "value", "SolutionCommitted": "paidWei"}.get(event.name, "amountWei")


def _flows(events: Iterable[Event], labels: Mapping[str, str], payers: Mapping[int, str]) -> Iterator[Flow]:
    for event in events:
        args = event.args
        if event.name == "Deposited":
            target = f"{_pot(args['pot'])} of {_label(labels, args['keeper'])}"
            is_of_round = args["pot"] == Pot.BOND and labels.get(args["keeper"]) == "TaskMarket"
            payer = _COMMITTED if is_of_round else payers.get(event.id, "an account")
            yield Flow(event, payer, target, args["amountWei"], ETHER, f"paid in as {_pot(args['pot'])}")
        elif event.name == "SolutionCommitted":
            yield Flow(event, args["miner"], _COMMITTED, args["paidWei"], ETHER, "committed: bond and judging fee")
        elif event.name == "Moved":
            source = f"{_pot(args['pot'])} of {_label(labels, args['keeper'])}"
            target = f"{_pot(args['toPot'])} of {_label(labels, args['toKeeper'])}"
            yield Flow(event, source, target, args["amountWei"], ETHER, _why_moved(event, labels))
        elif event.name == "Credited":
            source = f"{_pot(args['pot'])} of {_label(labels, args['keeper'])}"
            yield Flow(event, source, args["payee"], args["amountWei"], ETHER, _why_credited(event, labels))
        elif event.name == "Withdrawn":
            yield Flow(event, args["payee"], f"wallet {args['to']}", args["amountWei"], ETHER, "withdrawn")
        elif event.name == "Transfer":
            is_minted = args["from"] == NO_ACCOUNT
            source = "issued by the system" if is_minted else args["from"]
            yield Flow(event, source, args["to"], args["value"], TOKEN, "issued" if is_minted else "sent")


def _why_moved(event: Event, labels: Mapping[str, str]) -> str:
    """What a move between two accounts of the reservoir is for."""
    pot, to = event.args["pot"], labels.get(event.args["toKeeper"], "")
    if pot == Pot.STAKE:
        return "penalty"
    if event.args["toPot"] == Pot.STAKE:
        return "penalty returned"
    if to == "VerifierCommittee":
        return "forfeited bonds to the ballot" if pot == Pot.BOND else "verifiers' fee to the ballot"
    if labels.get(event.args["keeper"]) == "VerifierCommittee":
        return "what the ballot gave back"
    return f"{_pot(pot)} handed over"


def _why_credited(event: Event, labels: Mapping[str, str]) -> str:
    """What somebody was paid for."""
    pot, keeper = event.args["pot"], labels.get(event.args["keeper"], "")
    if keeper == "VerifierCommittee":
        return "stake returned, or the price of a seat" if pot == Pot.STAKE else "share of fees and penalties"
    if pot == Pot.BOND:
        return "bond returned, or a share of one that was lost"
    return "reward, or escrow returned"


def _pot(value: int) -> str:
    return {0: "escrow", 1: "bond", 2: "stake"}.get(value, f"pot {value}")


def _label(labels: Mapping[str, str], address: str) -> str:
    return labels.get(address, address)
