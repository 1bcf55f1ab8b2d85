"""What an indexer can know that reads nothing but logs: every stake, every seat, every credit."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.rounds import MIN_STAKE_WEI, Play, valid


@pytest.fixture
def eventful(
    system: SimpleNamespace,
    chain: Any,
    commitments: Any,
    create_task: Any,
    client: Any,
    miners: Any,
    verifiers: Any,
    stranger: Any,
) -> Play:
    """A noisy vote, a void ballot, missing keys, a seat that was given up and one that was taken again."""
    play = Play(system, chain, commitments, client=client, miners=miners, verifiers=verifiers, stranger=stranger)
    play.stake(*[MIN_STAKE_WEI + place for place in range(4)])
    play.submit(create_task, solutionsWanted=1)
    play.open()
    play.to_voting(miners[0])
    good, noise = [valid(950_000, 900_000)], [valid(940_000, 900_000)]
    play.vote_each(dict.fromkeys(verifiers[:3], good) | {verifiers[3]: noise})
    play.advance()
    play.submit(create_task, solutionsWanted=1)
    play.open()
    play.to_voting(miners[1])
    for _ in range(3):
        play.network.mine(timestamp=play.committee.ballot(play.ballot_id).deadline)
        play.committee.advance(play.ballot_id, sender=stranger)
    play.advance()
    play.submit(create_task)
    play.open(has_keys=False)
    play.wait_for_deadline()
    play.advance()
    play.committee.requestUnstake(sender=verifiers[0])
    play.committee.requestUnstake(sender=verifiers[1])
    play.committee.stake(sender=verifiers[1])
    play.wait(600)
    play.committee.completeUnstake(sender=verifiers[0])
    play.reservoir.withdraw(miners[0], sender=miners[0])
    return play


def logs_of(play: Play, event: Any) -> list[Any]:
    return list(event.range(play.network.blocks.height + 1))


def test_logs__alone__rebuild_every_stake_and_credit(eventful: Play) -> None:
    committee, reservoir = eventful.committee, eventful.reservoir
    stakes_wei: dict[str, int] = defaultdict(int)
    for event, sign in (
        (committee.Staked, 1),
        (committee.Slashed, -1),
        (committee.PenaltyReturned, 1),
        (committee.Unstaked, -1),
    ):
        for log in logs_of(eventful, event):
            stakes_wei[log.verifier] += sign * log.amountWei
    for log in logs_of(eventful, committee.Displaced):
        stakes_wei[log.by] -= log.priceWei
    assert {who: committee.verifier(who).stakeWei for who in stakes_wei} == stakes_wei
    assert len(stakes_wei) == 4
    assert stakes_wei[eventful.verifiers[0].address] == 0
    credits_wei: dict[str, int] = defaultdict(int)
    for log in logs_of(eventful, reservoir.Credited):
        credits_wei[log.payee] += log.amountWei
    for log in logs_of(eventful, reservoir.Withdrawn):
        credits_wei[log.payee] -= log.amountWei
    assert {who: reservoir.creditOf(who) for who in credits_wei} == credits_wei
    assert sum(credits_wei.values()) == reservoir.totalCredits() > 0


def test_logs__alone__rebuild_the_seats(eventful: Play) -> None:
    committee = eventful.committee
    moves = [(log.block_number, log.log_index, log.verifier, True) for log in logs_of(eventful, committee.Staked)]
    moves += [(log.block_number, log.log_index, log.verifier, False) for log in logs_of(eventful, committee.Unseated)]
    seated = {who: is_seated for _, _, who, is_seated in sorted(moves, key=lambda move: move[:2])}
    assert sorted(who for who, is_seated in seated.items() if is_seated) == sorted(committee.seated())
