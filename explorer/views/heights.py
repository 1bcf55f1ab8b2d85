"""Why somebody was paid or not at a height of the gradient chain: a sentence for each part of an account. Pure."""

from collections.abc import Iterator

from explorer.fold.folding import name_of
from explorer.fold.gradient import HeightView, Proposal
from explorer.views.cells import clock
from explorer.views.reasons import back, credited_wei, of_verifier
from explorer.views.text import ether, percent
from pole.chain.gradient_structs import HeightPhase
from pole.chain.structs import Verdict, VerdictKind


def height_reasons(view: HeightView, account: str) -> list[str]:
    """What happened to this account at this height."""
    return list(_reasons(view, account)) or ["you took part in a transaction of this height"]


def outcome_of_height(view: HeightView) -> str:
    """How the height stands, in a few words."""
    if view.block is not None:
        is_opening = not view.block.args["header"].get("proof")
        return "opens a task with its genesis weights" if is_opening else "ended with a block"
    if view.phase == HeightPhase.IDLE:
        has_begun = any(event.args["phase"] != HeightPhase.IDLE for event in view.phases)
        return "ended without a block: the task was stopped" if has_begun else "waits for a task"
    until = f", until {clock(view.deadline)}" if view.deadline else ""
    return f"in phase {name_of(HeightPhase, view.phase)}{until}"


def _reasons(view: HeightView, account: str) -> Iterator[str]:
    for proposal in view.proposals:
        if proposal.miner == account:
            yield f"you proposed step {proposal.step:,}: {fate(view, proposal)}"
    for _, ballot in sorted(view.ballots.items()):
        if account in ballot.votes:
            yield of_verifier(view, ballot, account)
    for accuser in view.accusers:
        if accuser.args["verifier"] == account:
            said = f"of proposal {accuser.args['entry']}, and got {ether(accuser.args['amountWei'])} of its lost bond"
            yield f"you were the first to name a wrong segment {said}"
    has_part = any(each.miner == account for each in view.proposals)
    has_part = has_part or any(account in ballot.votes for ballot in view.ballots.values())
    paid_wei = credited_wei(view, account)
    if paid_wei and not has_part:
        yield f"you were credited {ether(paid_wei)}"


def fate(view: HeightView, proposal: Proposal) -> str:
    """What became of a proposal, to its miner."""
    verdict, ballot = proposal.verdict, proposal.ballot
    if proposal.displaced is not None:
        return "a higher bond took its place, and yours came back"
    if verdict is not None:
        return _judged(view, proposal, verdict)
    if ballot is not None and ballot.is_void:
        return "too few verifiers voted, and it did not count"
    if ballot is not None:
        return "the verifiers are voting"
    is_over = any(each.id > proposal.event.id for each in view.rejections)
    return "no verifier was there to judge it" if is_over else "it waits for the ballot"


def _judged(view: HeightView, proposal: Proposal, verdict: Verdict) -> str:
    lost = view.lost_by(proposal)
    cost = f" and you lost {ether(lost.args['amountWei'])}" if lost is not None else ""
    match verdict.train:
        case VerdictKind.INVALID:
            return f"the verifiers found that it does not replay{cost}"
        case VerdictKind.UNAVAILABLE:
            return f"more than half of the verifiers could not get its proof{cost}"
        case VerdictKind.SCORED if view.is_block(proposal):
            return f"it is the block, with {percent(verdict.test_ppm)} on the test set{back(view, proposal.miner)}"
        case VerdictKind.SCORED:
            return "it was valid, but another one came first"
        case _:
            return "the verifiers could not decide about it"
