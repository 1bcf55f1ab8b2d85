"""Reentrancy: contracts take part in a round and call back into every contract while they are being paid."""

from dataclasses import dataclass
from typing import Any

from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.chain.profiles import ETHER, PUBLIC
from pole.chain.structs import Round
from pole.errors import ChainError
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain, Sent


@dataclass(frozen=True)
class Greedy:
    """A contract that takes part, and calls back into everything while it is paid."""

    chain: Chain
    address: str

    @classmethod
    def create(cls, chain: Chain) -> "Greedy":
        return cls(chain, chain.create(chain.attacker, "Reentrant"))

    def act(self, contract: str, function: str, *arguments: Any, value_wei: int = 0) -> Sent:
        """A call in the contract's name, which must work; raises ChainError."""
        target, data = self.chain.address(contract), self.chain.data(contract, function, *arguments)
        sent = self.chain.attempt_at(self.address, "Reentrant", "act", target, data, value_wei, value_wei=value_wei)
        if sent.error:
            raise ChainError(f"{contract}.{function} was refused with {sent.error}; the attack cannot be prepared")
        return sent

    def plan(self, contract: str, function: str, *arguments: Any) -> None:
        """Call this while being paid."""
        target, data = self.chain.address(contract), self.chain.data(contract, function, *arguments)
        self.chain.attempt_at(self.address, "Reentrant", "plan", target, data)

    def withdraw(self) -> tuple[int, int, int]:
        """Wei owed, wei received, and how many of the planned calls were accepted meanwhile."""
        owed_wei = self.chain.contracts.reward_reservoir.credit_wei(self.address)
        before_wei = self.chain.balance_wei(self.address)
        self.act("RewardReservoir", "withdraw", self.address)
        received_wei = self.chain.balance_wei(self.address) - before_wei
        return owed_wei, received_wei, int(self.chain.call_at(self.address, "Reentrant", "accepted"))


def reenter_payouts(ground: Ground) -> Outcome:
    """A contract as client, as miner and as verifier: each calls back into all contracts from inside its payment."""
    chain = ground.chain
    client, miner, verifier = (Greedy.create(chain) for _ in range(3))
    ended, cancelled = _round_of_greed(chain, client, miner, verifier)
    paid = {}
    for name, greedy in (("client", client), ("miner", miner), ("verifier", verifier)):
        greedy.plan("RewardReservoir", "withdraw", greedy.address)
        greedy.plan("TaskMarket", "cancel", cancelled)
        greedy.plan("LearningChain", "advance", ended.round_id)
        greedy.plan("VerifierCommittee", "advance", ended.ballot_id)
        greedy.plan("VerifierCommittee", "completeUnstake")
        paid[name] = greedy.withdraw()
    is_defended = all(owed == received and not accepted for owed, received, accepted in paid.values())
    is_whole = chain.reservoir_wei == chain.accounted_wei
    said = ", ".join(f"{name} gets {got / ETHER:g} of {owed / ETHER:g} ETH" for name, (owed, got, _) in paid.items())
    evidence = f"{said}; nothing that it calls meanwhile is accepted" if is_defended else said
    return Outcome(is_defended and is_whole, evidence, {name: got for name, (_, got, _) in paid.items()})


def _round_of_greed(chain: Chain, client: Greedy, miner: Greedy, verifier: Greedy) -> tuple[Round, int]:
    """A round that credits all three, with a cancelled task and a verifier that has left; and the task cancelled."""
    verifiers = rounds.seat(chain, 3)
    verifier.act("VerifierCommittee", "stake", value_wei=rounds.STAKE_WEI)
    for _ in range(2):
        terms = rounds.terms(chain, client.address)
        client.act("TaskMarket", "submit", terms, 0, value_wei=rounds.CLIENT_BOND_WEI + ETHER)
    cancelled = chain.contracts.task_market.task_count()
    client.act("TaskMarket", "cancel", cancelled)
    chain.do(chain.anyone, "LearningChain", "openRound")
    current = rounds.bound(chain)
    client.act("LearningChain", "publishKeys", current.round_id, current.previous_hash, rounds.KEYS)
    hashed = rounds.commitment(chain, current, miner.address)
    arguments = (current.round_id, current.previous_hash, hashed, rounds.CLAIM_PPM, 0)
    miner.act("LearningChain", "commit", *arguments, value_wei=rounds.commit_wei(chain, current))
    rounds.advance(chain, current)
    chain.pass_time(1)
    client.act("LearningChain", "releaseTestSet", current.round_id, rounds.TEST_SET, rounds.SALT)
    miner.act("LearningChain", "reveal", current.round_id, 1, rounds.model_of(miner.address), rounds.SALT)
    rounds.advance(chain, current)
    _greedy_vote(chain, current, verifiers, verifier)
    verifier.act("VerifierCommittee", "requestUnstake")
    chain.pass_time(PUBLIC.committee.unbonding_period_s)
    verifier.act("VerifierCommittee", "completeUnstake")
    return rounds.latest(chain), cancelled


def _greedy_vote(chain: Chain, current: Round, verifiers: list[str], greedy: Greedy) -> None:
    ballot_id, vote = rounds.latest(chain).ballot_id, [rounds.good(900_000)]
    hashed = rounds.vote_hash(chain, ballot_id, greedy.address, vote)
    index = rounds.member_index(chain, ballot_id, greedy.address)
    greedy.act("VerifierCommittee", "commitVote", ballot_id, index, hashed)
    rounds.commit_votes(chain, ballot_id, dict.fromkeys(verifiers, vote))
    digest = rounds.digest(chain, ballot_id, vote)
    revealed = (ballot_id, index, digest, rounds.SALT, rounds.NO_PREDICTIONS)
    greedy.act("VerifierCommittee", "revealVote", *revealed)
    rounds.reveal_votes(chain, ballot_id, dict.fromkeys(verifiers, vote))
    rounds.finish(chain, current)


ATTACKS: list[Attack[Ground]] = [
    Attack(
        "reentrancy",
        "money",
        "call back from inside every payment",
        reenter_payouts,
        Weakening(
            "withdraw pays before it writes, without a guard",
            (
                Edit("RewardReservoir.sol", "external override nonReentrant returns", "external override returns"),
                Edit("RewardReservoir.sol", "creditOf[msg.sender] = 0;\n        totalCredits -= amountWei;", ""),
                Edit(
                    "RewardReservoir.sol",
                    "if (!wasSent) revert WithdrawalFailed(to, amountWei);",
                    "if (!wasSent) revert WithdrawalFailed(to, amountWei);\n"
                    "creditOf[msg.sender] = 0; totalCredits -= amountWei < totalCredits ? amountWei : totalCredits;",
                ),
            ),
        ),
    ),
]
