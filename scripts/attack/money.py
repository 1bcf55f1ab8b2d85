"""Attacks on the money: being paid twice, by oneself, too much, or in numbers that do not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pole.errors import ChainError
from pole.profiles import ETHER, PUBLIC
from pole.records import Phase, Round, Verdict
from scripts.attack import rounds
from scripts.attack.chain import Chain, Sent
from scripts.attack.ground import Ground
from scripts.attack.record import Attack, Outcome, Weakening
from scripts.compiled import Edit

_ACCOUNTED = "total[Pot.Escrow] + total[Pot.Bond] + total[Pot.Stake] + totalCredits"
_HEIGHTS = 3
_GWEI = 10**9


def _seat_three(chain: Chain) -> list[str]:
    verifiers = [chain.verifier(i) for i in range(3)]
    rounds.stake(chain, *verifiers)
    return verifiers


# --- reentrancy ------------------------------------------------------------------------------------------------------


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
        owed_wei = self.chain.ledger.credit_wei(self.address)
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
    verifiers = _seat_three(chain)
    verifier.act("VerifierCommittee", "stake", value_wei=rounds.STAKE_WEI)
    for _ in range(2):
        terms = rounds.terms(chain, client.address)
        client.act("TaskMarket", "submit", terms, value_wei=rounds.CLIENT_BOND_WEI + ETHER)
    cancelled = chain.ledger.task_count()
    client.act("TaskMarket", "cancel", cancelled)
    chain.do(chain.anyone, "LearningChain", "openRound")
    current = rounds.latest(chain)
    client.act("LearningChain", "publishKeys", current.round_id, rounds.KEYS)
    hashed = rounds.commitment(chain, current, miner.address)
    arguments = (current.round_id, hashed, rounds.CLAIM_PPM)
    miner.act("LearningChain", "commit", *arguments, value_wei=rounds.BOND_WEI)
    rounds.advance(chain, current)
    chain.pass_time(1)
    client.act("LearningChain", "releaseTestSet", current.round_id, rounds.TEST_SET, rounds.SALT)
    miner.act("LearningChain", "reveal", current.round_id, rounds.model_of(miner.address), rounds.SALT)
    rounds.advance(chain, current)
    _greedy_vote(chain, current, verifiers, verifier)
    verifier.act("VerifierCommittee", "requestUnstake")
    chain.pass_time(PUBLIC.committee.unbonding_period_s)
    verifier.act("VerifierCommittee", "completeUnstake")
    return rounds.latest(chain), cancelled


def _greedy_vote(chain: Chain, current: Round, verifiers: list[str], greedy: Greedy) -> None:
    ballot_id, vote = rounds.latest(chain).ballot_id, [rounds.good(900_000)]
    hashed = rounds.vote_hash(chain, ballot_id, greedy.address, vote)
    greedy.act("VerifierCommittee", "commitVote", ballot_id, hashed)
    rounds.commit_votes(chain, ballot_id, dict.fromkeys(verifiers, vote))
    greedy.act("VerifierCommittee", "revealVote", ballot_id, vote, rounds.SALT)
    rounds.reveal_votes(chain, ballot_id, dict.fromkeys(verifiers, vote))
    rounds.finish(chain, current)


# --- forced ether, extreme numbers -----------------------------------------------------------------------------------


def force_ether(ground: Ground) -> Outcome:
    """Ether is forced into the reservoir by a self-destructing contract, to upset its accounts or to be paid out."""
    chain = ground.chain
    verifiers, reservoir = _seat_three(chain), chain.address("RewardReservoir")
    plain = chain.sent(chain.queue(chain.attacker, reservoir, "0x", value_wei=ETHER))
    before_wei = chain.reservoir_wei
    chain.sent(chain.queue(chain.attacker, None, f"0x73{reservoir[2:]}ff", value_wei=ETHER))
    forced_wei = chain.reservoir_wei - before_wei
    rounds.submit(chain)
    current = rounds.open_round(chain)
    rounds.to_voting(chain, current, chain.miner(0))
    rounds.vote_and_finish(chain, current, {each: [rounds.good(900_000)] for each in verifiers})
    taken = chain.attempt(chain.attacker, "RewardReservoir", "withdraw", chain.attacker)
    paid = chain.attempt(chain.miner(0), "RewardReservoir", "withdraw", chain.miner(0))
    surplus_wei = chain.reservoir_wei - chain.accounted_wei
    is_defended = bool(plain.error and taken.error) and not paid.error and surplus_wei == forced_wei == ETHER
    evidence = (
        f"a plain transfer is refused; {forced_wei / ETHER:g} ETH forced in change no account, "
        f"{taken.said} for who tries, and the winner's withdrawal is {paid.said}"
    )
    return Outcome(is_defended, evidence, {"surplus_wei": surplus_wei, "error": taken.error, "paid": paid.said})


def overflow(ground: Ground) -> Outcome:
    """Rewards, stakes, times and accuracies at and beyond the ends of their types."""
    chain, who = ground.chain, ground.chain.attacker
    chain.rpc("anvil_setBalance", who, hex(1 << 200))
    refused = {
        "reward of 2^129 wei": _submit_beyond(chain, 1 << 129),
        "stake of 2^96 wei": chain.attempt(who, "VerifierCommittee", "stake", value_wei=1 << 96),
        "no time": _submit(chain, time_limit_s=0),
        "136 years": _submit(chain, time_limit_s=(1 << 32) - 1),
        "accuracy of 2^32 - 1 ppm": _submit(chain, required_train_ppm=(1 << 32) - 1),
    }
    errors = {name: sent.said for name, sent in refused.items()}
    evidence = ", ".join(f"{name}: {said}" for name, said in errors.items())
    if not all(sent.error for sent in refused.values()):
        return Outcome(False, evidence)
    paid_wei, due_wei = _extreme_round(chain)
    is_defended = paid_wei == due_wei > 1 << 126 and chain.reservoir_wei == chain.accounted_wei
    evidence += f"; a round with a reward of 2^{due_wei.bit_length() - 1} wei and a stake of 2^95 pays to the wei"
    return Outcome(is_defended, evidence, {"errors": " ".join(errors.values())})


def _submit(chain: Chain, payment_wei: int = ETHER, **changes: Any) -> Sent:
    terms = rounds.terms(chain, chain.attacker, **changes)
    value_wei = rounds.CLIENT_BOND_WEI + payment_wei
    return chain.attempt(chain.attacker, "TaskMarket", "submit", terms, value_wei=value_wei)


def _submit_beyond(chain: Chain, payment_wei: int) -> Sent:
    """Through a contract: the node itself refuses transactions of 2^128 wei."""
    rich = chain.create(chain.attacker, "Reentrant")
    chain.rpc("anvil_setBalance", rich, hex(1 << 200))
    data = chain.data("TaskMarket", "submit", rounds.terms(chain, rich))
    value_wei = payment_wei + rounds.CLIENT_BOND_WEI
    return chain.attempt_at(rich, "Reentrant", "act", chain.address("TaskMarket"), data, value_wei)


def _extreme_round(chain: Chain) -> tuple[int, int]:
    """The largest reward, the shortest time, a huge stake, in the year 10000: wei paid to the winner, and wei due."""
    chain.rpc("anvil_setBalance", chain.verifier(0), hex(1 << 100))
    rounds.stake(chain, chain.verifier(0), stake_wei=1 << 95)
    payment_wei = 1 << 127
    if _submit(chain, payment_wei=payment_wei, time_limit_s=PUBLIC.market.max_time_limit_s).error:
        return 0, 0
    chain.rpc("evm_setNextBlockTimestamp", 253_402_300_800)
    current = rounds.open_round(chain, chain.attacker)
    rounds.to_voting(chain, current, chain.miner(0), client=chain.attacker)
    rounds.vote_and_finish(chain, current, {chain.verifier(0): [Verdict(True, 1_000_000, 1_000_000)]})
    due_wei = payment_wei - -(-payment_wei * PUBLIC.market.verifier_fee_ppm // 1_000_000)
    return chain.ledger.credit_wei(chain.miner(0)) - rounds.BOND_WEI, due_wei


# --- what the system mints -------------------------------------------------------------------------------------------


def sybil_ommers(ground: Ground) -> Outcome:
    """One miner submits its model many times, slightly changed, under many names: five ommers a block, not one."""
    chain = ground.chain
    _seat_three(chain)
    minted = {}
    for sybils in (1, 5):
        with _undone(chain):
            minted[sybils] = [_self_made_block(chain, sybils) / ETHER for _ in range(_HEIGHTS)]
    one, five = minted.values()
    evidence = f"{sum(five):g} tokens in {_HEIGHTS} blocks with five of its own ommers in each, {sum(one):g} with one"
    return Outcome(sum(five) <= sum(one), evidence, {"tokens_with_1": sum(one), "tokens_with_5": sum(five)})


def _self_made_block(chain: Chain, sybils: int) -> int:
    """A block whose winner and ommers are all the attacker's; returns the tokens that they got for it."""
    identities = [chain.miner(i) for i in range(sybils + 1)]
    before = _tokens(chain, identities)
    rounds.submit(chain)
    current = rounds.open_round(chain)
    rounds.to_voting(chain, current, *identities)
    vote = [rounds.good(900_000 - i) for i in range(len(identities))]
    rounds.vote_and_finish(chain, current, {chain.verifier(i): vote for i in range(3)})
    return _tokens(chain, identities) - before


def _tokens(chain: Chain, identities: list[str]) -> int:
    return sum(chain.ledger.token_balance(each) for each in identities)


def deal_with_oneself(ground: Ground) -> Outcome:
    """The attacker commissions the cheapest task from itself and wins it, with an ommer of its own."""
    chain = ground.chain
    verifiers = _seat_three(chain)
    identities = [chain.attacker, chain.miner(0), chain.miner(1)]
    minted = spent_wei = gas = 0
    for _ in range(2):
        before_wei = _wealth_wei(chain, identities)
        tokens, first = _tokens(chain, identities), chain.web3.eth.block_number
        _cheapest_round(chain, verifiers)
        used = _gas_of(chain, identities, first + 1)
        gas = sum(amount for amount, _ in used)
        spent_wei = before_wei - _wealth_wei(chain, identities) - sum(paid_wei for _, paid_wei in used)
        minted = _tokens(chain, identities) - tokens
    locked_wei = rounds.CLIENT_BOND_WEI + _cheapest_wei() + 2 * rounds.BOND_WEI
    evidence = (
        f"{minted / ETHER:g} tokens a block for {spent_wei / ETHER:.5f} ETH of verifier fee and {gas:,} gas "
        f"({gas * 10 * _GWEI / ETHER:.4f} ETH at 10 gwei), with {locked_wei / ETHER:.3f} ETH locked meanwhile; "
        "no window has to be waited for"
    )
    figures = {"tokens": minted / ETHER, "fee_wei": spent_wei, "gas": gas, "locked_wei": locked_wei}
    return Outcome(minted == 0, evidence, figures)


def _cheapest_wei() -> int:
    """The least payment, reward and fee."""
    market = PUBLIC.market
    return -(-market.min_reward_wei * 1_000_000 // (1_000_000 - market.verifier_fee_ppm))


def _cheapest_round(chain: Chain, verifiers: list[str]) -> None:
    rounds.submit(chain, chain.attacker, payment_wei=_cheapest_wei(), solutions_wanted=2)
    current = rounds.open_round(chain, chain.attacker)
    rounds.to_voting(chain, current, chain.miner(0), chain.miner(1), client=chain.attacker)
    vote = [rounds.good(900_000), rounds.good(890_000)]
    if rounds.vote_and_finish(chain, current, dict.fromkeys(verifiers, vote)).phase is not Phase.FINALISED:
        raise AssertionError("the attacker's own round made no block")


def _wealth_wei(chain: Chain, identities: list[str]) -> int:
    return sum(chain.balance_wei(each) + chain.ledger.credit_wei(each) for each in identities)


def _gas_of(chain: Chain, identities: list[str], first_block: int) -> list[tuple[int, int]]:
    """Gas and wei paid for it, of every transaction that these sent since."""
    found = []
    for number in range(first_block, chain.web3.eth.block_number + 1):
        for transaction in chain.web3.eth.get_block(number)["transactions"]:
            receipt: Any = chain.web3.eth.get_transaction_receipt(transaction)  # type: ignore[arg-type]
            if receipt["from"] in identities:
                found.append((receipt["gasUsed"], receipt["gasUsed"] * receipt["effectiveGasPrice"]))
    return found


@contextmanager
def _undone(chain: Chain) -> Iterator[None]:
    """What happens inside has not happened afterwards."""
    snapshot = chain.rpc("evm_snapshot")
    yield
    chain.rpc("evm_revert", snapshot)


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
    Attack(
        "forced-ether",
        "money",
        "force ether into the reservoir",
        force_ether,
        Weakening(
            "withdraw demands that balance and accounts are equal",
            (
                Edit(
                    "RewardReservoir.sol",
                    "if (amountWei == 0) revert NothingToWithdraw(msg.sender);",
                    f"if (amountWei == 0 || address(this).balance != {_ACCOUNTED}) {{\n"
                    "revert NothingToWithdraw(msg.sender); }",
                ),
            ),
        ),
    ),
    Attack(
        "overflow",
        "money",
        "extreme rewards, stakes, times, accuracies",
        overflow,
        Weakening(
            "rewards are cut to 128 bits",
            (
                Edit("TaskMarket.sol", "(paymentWei - feeWei).toUint128()", "uint128(paymentWei - feeWei)"),
                Edit("TaskMarket.sol", "feeWei.toUint128()", "uint128(feeWei)"),
            ),
        ),
    ),
    Attack(
        "sybil-ommers",
        "money",
        "be five ommers instead of one",
        sybil_ommers,
        Weakening(
            "R_r has no cap",
            (Edit("libraries/OmmerRewards.sol", "return Math.min(uncapped, winnerReward);", "return uncapped;"),),
        ),
    ),
    Attack("self-dealing", "money", "commission from oneself for R_w", deal_with_oneself, is_known_limit=True),
]
