"""Attacks that gain nothing and cost others something: what they cost whom, and that the chain continues."""

from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from benchmarks.gas import CALL_LIMIT_GAS
from pole.chain.profiles import ETHER, PUBLIC
from pole.chain.structs import AbortReason, Phase, TaskState
from pole.chain.verdicts import INVALID
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain

_PENDING = (10, 100, 1_000, 10_000)
_PENDING_WHEN_WEAK = (10, 100, 200)
_PER_LEVEL_GAS = 1_000
"""Where the place is named, the length of the list costs nothing."""


def never_reveal(ground: Ground) -> Outcome:
    """Three miners commit beside an honest one and never reveal."""
    chain = ground.chain
    verifiers = rounds.seat(chain, 3)
    rounds.submit(chain)
    current, honest = rounds.open_round(chain), chain.miner(0)
    silent = [chain.accomplice(i) for i in range(3)]
    rounds.to_reveal(chain, current, honest, *silent)
    rounds.reveal(chain, current, honest)
    rounds.advance(chain, current)
    rounds.vote_and_finish(chain, current, {each: [rounds.good(900_000)] for each in verifiers})
    lost_wei = len(silent) * rounds.BOND_WEI - sum(chain.contracts.reward_reservoir.credit_wei(each) for each in silent)
    fees_wei = sum(chain.contracts.reward_reservoir.credit_wei(each) for each in verifiers)
    fee_wei = chain.contracts.task_market.task(current.task_id).verifier_fee_wei
    judging_wei = (len(silent) + 1) * chain.contracts.learning_chain.judging_fee_wei(current.round_id)
    window_s = PUBLIC.chain.reveal_window_s
    is_defended = (
        rounds.winner(chain) == honest and lost_wei == len(silent) * rounds.BOND_WEI == fees_wei - fee_wei - judging_wei
    )
    evidence = (
        f"the honest miner wins after at most {window_s:,} s; {lost_wei / ETHER:g} ETH of bonds go to the verifiers"
    )
    failed = f"the silent lose {lost_wei / ETHER:g} ETH"
    return Outcome(is_defended, evidence if is_defended else failed, {"lost_wei": lost_wei})


def junk_commits(ground: Ground) -> Outcome:
    """One transaction after the other fills all 64 places of a round with junk; an honest miner needs a higher bond."""
    chain = ground.chain
    rounds.seat(chain, 3)
    rounds.submit(chain)
    rounds.submit(chain, payment_wei=ETHER // 2)
    current, where = rounds.open_round(chain), chain.address("LearningChain")
    crowd = chain.create(chain.attacker, "Crowd")
    for _ in range(2):
        arguments = (where, current.round_id, rounds.CLAIM_PPM, 32)
        chain.attempt_at(crowd, "Crowd", "commit", *arguments, value_wei=32 * rounds.commit_wei(chain, current))
    honest = rounds.commit_hash(chain, current, chain.miner(0), bytes([1] * 32))
    junk = (current.round_id, current.previous_hash, bytes([1] * 32), rounds.CLAIM_PPM, 0)
    higher_wei = rounds.commit_wei(chain, current) + 10**9
    outbid = chain.attempt(chain.miner(0), "LearningChain", "commit", *junk, value_wei=higher_wei)
    dearest = max(outbid.gas_used, rounds.advance(chain, current).gas_used)
    rounds.release(chain, current)
    dearest = max(dearest, rounds.advance(chain, current).gas_used)
    ended = rounds.latest(chain)
    client_wei = chain.contracts.reward_reservoir.credit_wei(chain.client)
    task = chain.contracts.task_market.task(current.task_id)
    won_wei = client_wei - task.reward_wei - task.verifier_fee_wei - rounds.CLIENT_BOND_WEI
    following = rounds.open_round(chain)
    is_defended = (
        honest.error == "RoundFull"
        and ended.abort_reason is AbortReason.NOTHING_REVEALED
        and not outbid.error
        and won_wei > 64 * rounds.BOND_WEI
        and following.task_id != current.task_id
        and dearest < CALL_LIMIT_GAS
    )
    evidence = (
        f"the 65th: {honest.said}, with a higher bond: {outbid.said}; the round ends "
        f"({ended.abort_reason.name}) with {dearest:,} gas at most, the client "
        f"gets its money back and {won_wei / ETHER:.2f} ETH of bonds and fees; the next task's round opens"
    )
    return Outcome(is_defended, evidence, {"lost_wei": won_wei, "gas": dearest, "error": honest.error})


def dust_tasks(ground: Ground) -> Outcome:
    """The list is filled with the cheapest tasks, each worth more than those before: the worst case of an insertion."""
    chain = ground.chain
    sizes = _PENDING_WHEN_WEAK if ground.is_weakened else _PENDING
    chain.rpc("anvil_setBalance", chain.attacker, hex(10**6 * ETHER))
    submit_gas, pop_gas, paid_wei = {}, {}, 0
    for size in sizes:
        paid_wei += rounds.fill_list(chain, size)
        submit_gas[size] = _submit_most_valuable(chain)
        pop_gas[size] = _pop(chain)
    levels = sizes[-1].bit_length() - sizes[0].bit_length()
    growth = {name: gas[sizes[-1]] - gas[sizes[0]] for name, gas in (("submit", submit_gas), ("pop", pop_gas))}
    is_defended = all(grown <= levels * _PER_LEVEL_GAS for grown in growth.values())
    listed = ", ".join(f"{size:,}: {submit_gas[size]:,} / {pop_gas[size]:,}" for size in sizes)
    locked = f"{paid_wei / ETHER:,.0f} ETH locked"
    figures = {f"submit_{size}": gas for size, gas in submit_gas.items()} | {
        f"pop_{size}": gas for size, gas in pop_gas.items()
    }
    return Outcome(is_defended, f"gas to submit / open a round among {listed} pending; {locked}", figures)


def _submit_most_valuable(chain: Chain) -> int:
    """Gas of an honest client's submission, which goes to the top."""
    terms = rounds.terms(chain, chain.client)
    return chain.do(chain.client, "TaskMarket", "submit", terms, 0, value_wei=2 * ETHER).gas_used


def _pop(chain: Chain) -> int:
    """Gas of opening a round on the most valuable task; the round is ended again."""
    gas = chain.do(chain.anyone, "LearningChain", "openRound").gas_used
    current = rounds.latest(chain)
    rounds.advance(chain, current)
    if rounds.latest(chain).phase is not Phase.ABORTED:
        raise RuntimeError("the round did not end")
    if chain.contracts.task_market.task(current.task_id).state is not TaskState.REFUNDED:
        raise RuntimeError("the task was not refunded")
    return gas


def hold_chain(ground: Ground) -> Outcome:
    """The attacker outbids an honest task with one that nobody can solve: keys and manifest lead nowhere."""
    chain = ground.chain
    rounds.seat(chain, 3)
    honest, market = rounds.submit(chain, time_limit_s=600), PUBLIC.market
    longest_s = market.max_time_limit_s
    whole_s = longest_s + market.round_windows_s
    price_wei = ETHER * whole_s // (600 + market.round_windows_s) + 10**9  # to be the most valuable for so long
    chain.rpc("anvil_setBalance", chain.attacker, hex(2 * price_wei))
    rounds.submit(chain, chain.attacker, payment_wei=price_wei, time_limit_s=longest_s)
    started_s = chain.now_s
    current = rounds.open_round(chain, chain.attacker)
    rounds.advance(chain, current)  # nobody could commit in time
    rounds.advance(chain, current)  # nor in overtime
    held_s = chain.now_s - started_s
    lost_wei = price_wei + rounds.CLIENT_BOND_WEI - chain.contracts.reward_reservoir.credit_wei(chain.attacker)
    following = rounds.open_round(chain).task_id
    is_defended = lost_wei * 14 * 86_400 >= 9 * ETHER * held_s and following == honest
    evidence = (
        f"held for {held_s / 86_400:.1f} days in one round; {price_wei / ETHER:,.0f} ETH locked, "
        f"{lost_wei / ETHER:.2f} of it lost to the verifiers; then the honest task's round opens: {following == honest}"
    )
    return Outcome(is_defended, evidence, {"held_s": held_s, "lost_wei": lost_wei, "price_wei": price_wei})


def false_claims(ground: Ground) -> Outcome:
    """The attacker claims to have solved the task at once, so that commits close before anybody has trained."""
    chain = ground.chain
    verifiers = rounds.seat(chain, 3)
    rounds.submit(chain, solutions_wanted=1)
    current = rounds.open_round(chain)
    rounds.commit(chain, current, chain.attacker)
    rounds.advance(chain, current)
    honest = rounds.commit_hash(chain, current, chain.miner(0), bytes([1] * 32))
    rounds.release(chain, current)
    rounds.reveal(chain, current, chain.attacker)
    rounds.advance(chain, current)
    ended = rounds.vote_and_finish(chain, current, {each: [INVALID] for each in verifiers})
    fee_wei = chain.contracts.task_market.task(current.task_id).verifier_fee_wei
    lost_wei = rounds.commit_wei(chain, current) - chain.contracts.reward_reservoir.credit_wei(chain.attacker)
    evidence = (
        f"an honest commit afterwards: {honest.said}; {ended.abort_reason.name}; the attacker loses "
        f"{lost_wei / ETHER:g} ETH of bond and judging fee; the client gets the bond, pays {fee_wei / ETHER:g} ETH of "
        "verifier fee and for the time, and has no model"
    )
    figures = {"lost_wei": lost_wei, "fee_wei": fee_wei}
    return Outcome(not honest.error, evidence, figures)


_RETURNED = (
    "if (_has(settled.returned, i)) amountsWei[i] += bondWei + feeWei;\n                else if (_has(revealed, i))"
)
_BONDS_RETURNED = Weakening(
    "every bond is returned",
    (
        Edit("LearningChain.sol", "forfeitedWei + ending.revealedCount * feeWei", "ending.revealedCount * feeWei"),
        Edit("RoundTreasury.sol", _RETURNED, "amountsWei[i] += bondWei;\n                if (false)"),
    ),
)

ATTACKS: list[Attack[Ground]] = [
    Attack("never-reveal", "griefing", "commit and never reveal", never_reveal, _BONDS_RETURNED),
    Attack("junk-commits", "griefing", "fill all 64 places with junk", junk_commits, _BONDS_RETURNED),
    Attack(
        "dust-tasks",
        "griefing",
        "list 10,000 cheap tasks",
        dust_tasks,
        Weakening(
            "the place is looked for from the end",
            (
                Edit("TaskList.sol", "ahead = _isPending(hint) ? hint : 0;", "ahead = _tasks[0].ahead;"),
                Edit("TaskList.sol", "MAX_STEPS = 16;", "MAX_STEPS = 1_000_000;"),
            ),
        ),
    ),
    Attack(
        "held-chain",
        "griefing",
        "hold the chain with what nobody can solve",
        hold_chain,
        Weakening(
            "occupying the chain is free",
            (Edit("libraries/Settlements.sol", "settled.isOccupancyPaid = true;", ""),),
        ),
    ),
    Attack("false-claims", "griefing", "close commits with a claim that is false", false_claims, is_known_limit=True),
]
