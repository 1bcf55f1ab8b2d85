"""Heights of the gradient chain, each step one transaction; what is mined there is made up, as are the votes."""

from collections.abc import Mapping, Sequence
from typing import Any

from pole.chain.gradient_structs import GradientTerms, Rules
from pole.chain.profiles import PUBLIC
from pole.chain.structs import VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from pole.gradient.difficulty import MAX_THRESHOLD
from pole.storage.cid import cid_of
from testbed import rounds
from testbed.contracts import Chain

INVALID = pack_verdict(Part(VerdictKind.INVALID), Part(VerdictKind.NONE))


def terms(**changes: Any) -> GradientTerms:
    """Easy ones: the first threshold lets everything through."""
    given: dict[str, Any] = {
        "manifest": cid_of(b"gradient manifest"),
        "genesis_weights": cid_of(b"genesis weights"),
        "rules": Rules.HARDENED,
        "block_reward_wei": 10**16,
        "block_count": 10,
        "target_test_ppm": 0,
        "target_interval_s": 20,
        "block_time_limit_s": 3_600,
        "min_step": 1,
        "max_step": 1_000,
        "initial_threshold": MAX_THRESHOLD,
    }
    return GradientTerms(**(given | changes))


def enrol(chain: Chain, *miners: str) -> None:
    for miner in miners:
        chain.do(miner, "GradientChain", "enrol", value_wei=PUBLIC.gradient.miner_bond_wei)


def submit(chain: Chain, client: str | None = None, **changes: Any) -> None:
    """And open it, where no other task is."""
    given = terms(**changes)
    cost_wei = chain.contracts.gradient_chain.cost_wei(given)
    chain.do(client or chain.client, "GradientChain", "submit", given, value_wei=cost_wei)
    chain.do(chain.anyone, "GradientChain", "openTask")


def propose(chain: Chain, steps: Mapping[str, int], searched_s: int = 5) -> None:
    """One proposal of each miner, at its step."""
    chain.pass_time(searched_s)
    gradient_chain = chain.contracts.gradient_chain
    height = gradient_chain.current().height
    previous_hash = gradient_chain.header_hash(height - 1)
    for miner, step in steps.items():
        proof, weights = (cid_of(f"{what} of {miner} at {height}".encode()) for what in ("proof", "weights"))
        chain.do(miner, "GradientChain", "propose", height, previous_hash, step, 0, proof, weights)


def judge(chain: Chain, verifiers: Sequence[str], words: Sequence[int]) -> None:
    """All verifiers vote the same words, and the height ends with a block or with none."""
    if not chain.contracts.gradient_chain.is_due():
        rounds.wait_for(chain, chain.contracts.gradient_chain.current().deadline)
    chain.do(chain.anyone, "GradientChain", "advance")
    ballot_id = chain.contracts.gradient_chain.current().ballot_id
    votes = dict.fromkeys(verifiers, words)
    rounds.commit_votes(chain, ballot_id, votes)
    rounds.reveal_votes(chain, ballot_id, votes)
    chain.do(chain.anyone, "GradientChain", "advance")
