"""Attacks on the money: self-dealing, payments that are too high or out of nothing, numbers that do not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.chain.profiles import ETHER, PUBLIC
from pole.chain.structs import Phase
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain, Sent

_ACCOUNTED = "total[Pot.Escrow] + total[Pot.Bond] + total[Pot.Stake] + totalCredits"
_HEIGHTS = 3
_GWEI = 10**9


# --- forced ether, extreme numbers -----------------------------------------------------------------------------------


def force_ether(ground: Ground) -> Outcome:
    """Ether is forced into the reservoir by a self-destructing contract, to upset its accounts or to be paid out."""
    chain = ground.chain
    verifiers, reservoir = rounds.seat(chain, 3), chain.address("RewardReservoir")
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
        "payment of 2^96 wei": _submit(chain, payment_wei=1 << 96),
        "payment of 2^129 wei": _submit_beyond(chain, 1 << 129),
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
    is_defended = paid_wei == due_wei > 1 << 95 and chain.reservoir_wei == chain.accounted_wei
    evidence += f"; a round with a reward of 2^{due_wei.bit_length() - 1} wei and a stake of 2^95 pays to the wei"
    return Outcome(is_defended, evidence, {"errors": " ".join(errors.values())})


def _submit(chain: Chain, payment_wei: int = ETHER, **changes: Any) -> Sent:
    terms = rounds.terms(chain, chain.attacker, **changes)
    value_wei = rounds.CLIENT_BOND_WEI + payment_wei
    return chain.attempt(chain.attacker, "TaskMarket", "submit", terms, 0, value_wei=value_wei)


def _submit_beyond(chain: Chain, payment_wei: int) -> Sent:
    """Through a contract: the node itself refuses transactions of 2^128 wei."""
    rich = chain.create(chain.attacker, "Reentrant")
    chain.rpc("anvil_setBalance", rich, hex(1 << 200))
    data = chain.data("TaskMarket", "submit", rounds.terms(chain, rich), 0)
    value_wei = payment_wei + rounds.CLIENT_BOND_WEI
    return chain.attempt_at(rich, "Reentrant", "act", chain.address("TaskMarket"), data, value_wei)


def _extreme_round(chain: Chain) -> tuple[int, int]:
    """The largest reward, the shortest time, a huge stake, in the year 10000: wei paid to the winner, and wei due."""
    chain.rpc("anvil_setBalance", chain.verifier(0), hex(1 << 100))
    rounds.stake(chain, chain.verifier(0), stake_wei=1 << 95)
    rounds.stake(chain, chain.verifier(1), chain.verifier(2))
    payment_wei = (1 << 96) - 1
    if _submit(chain, payment_wei=payment_wei, time_limit_s=PUBLIC.market.max_time_limit_s).error:
        return 0, 0
    chain.rpc("evm_setNextBlockTimestamp", 253_402_300_800)
    current = rounds.open_round(chain, chain.attacker)
    chain.rpc("anvil_setBalance", chain.miner(0), hex(2 * rounds.commit_wei(chain, current)))
    rounds.to_voting(chain, current, chain.miner(0), client=chain.attacker)
    vote = [rounds.scored(1_000_000, 1_000_000)]
    rounds.vote_and_finish(chain, current, {chain.verifier(i): vote for i in range(3)})
    due_wei = payment_wei - -(-payment_wei * PUBLIC.market.verifier_fee_ppm // 1_000_000)
    return chain.contracts.reward_reservoir.credit_wei(chain.miner(0)) - rounds.BOND_WEI, due_wei


# --- what the system mints -------------------------------------------------------------------------------------------


def sybil_ommers(ground: Ground) -> Outcome:
    """One miner submits its model many times, slightly changed, under many names: five ommers a block, not one."""
    chain = ground.chain
    rounds.seat(chain, 3)
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
    return sum(chain.contracts.reward_token.balance(each) for each in identities)


def deal_with_oneself(ground: Ground) -> Outcome:
    """The attacker commissions the cheapest task from itself and wins it, with an ommer of its own."""
    chain = ground.chain
    verifiers = rounds.seat(chain, 3)
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
    return sum(chain.balance_wei(each) + chain.contracts.reward_reservoir.credit_wei(each) for each in identities)


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
            "payments are cut to 96 bits",
            (
                Edit(
                    "TaskList.sol",
                    "paymentWei: paymentWei.toUint96(),",
                    "paymentWei: uint96(paymentWei),",
                ),
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
