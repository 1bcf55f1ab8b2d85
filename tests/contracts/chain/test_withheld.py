"""LearningChain: models and data that could not be had, and what the audit found about scores."""

import pytest

from tests.contracts.chain.halves import split, stakes_lost_wei
from tests.contracts.rounds import (
    CLIENT_BOND_WEI,
    FEE_WEI,
    GONE,
    JUDGING_WEI,
    MIN_STAKE_WEI,
    MINER_BOND_WEI,
    REWARD_WEI,
    ZERO_HASH,
    AbortReason,
    Kind,
    Phase,
    Play,
    Vote,
    trained,
    valid,
)

GOOD = valid(950_000, 900_000)
BETTER = valid(950_000, 910_000)
NO_DATA = (Kind.WITHHELD, 0, Kind.WITHHELD, 0)
ABSENCE_WEI, NOISE_WEI = MIN_STAKE_WEI // 20, MIN_STAKE_WEI // 5


# --- models and data that could not be had ---


def test_advance__model_that_most_could_not_fetch__counts_as_not_revealed(in_training: Play) -> None:
    gone, winner = in_training.miners[:2]
    in_training.to_voting(gone, winner)
    in_training.finish([GONE, GOOD])
    assert in_training.ledger.header(1).winner == winner
    assert in_training.credits_wei([gone, winner]) == [0, REWARD_WEI + MINER_BOND_WEI]
    assert in_training.ledger.ommerCount(1) == 0
    in_training.check_settled(1)


def test_advance__test_set_that_most_could_not_fetch__counts_as_withheld(in_training: Play) -> None:
    in_training.to_voting(*in_training.miners[:2])
    assert in_training.round.isTestSetReleased
    in_training.finish([trained(910_000, Kind.WITHHELD), trained(930_000, Kind.WITHHELD)])
    header = in_training.ledger.header(1)
    assert (header.winner, header.trainPpm, header.testPpm) == (in_training.miners[1], 930_000, 0)
    share_wei = CLIENT_BOND_WEI // 2
    paid_wei = [MINER_BOND_WEI + share_wei, REWARD_WEI + MINER_BOND_WEI + share_wei]
    assert in_training.credits_wei(in_training.miners[:2]) == paid_wei
    assert in_training.credit_wei(in_training.client) == 0
    assert not in_training.round.isTestSetReleased
    assert in_training.body_of(1)[4] == ZERO_HASH
    in_training.check_settled(1)


@pytest.mark.parametrize(("lacking", "is_by_test"), [(1, True), (2, False)])
def test_advance__test_set_late_for_some__makes_no_model_invalid(four: Play, lacking: int, is_by_test: bool) -> None:
    """With half of the votes open the round ranks by train accuracy; nobody was shown to be at fault."""
    had: Vote = [valid(960_000, 900_000), valid(950_000, 910_000)]
    lacked: Vote = [trained(960_000, Kind.WITHHELD), trained(950_000, Kind.WITHHELD)]
    four.to_voting(*four.miners[:2])
    four.vote_each(dict.fromkeys(four.verifiers, had) | dict.fromkeys(four.verifiers[:lacking], lacked))
    four.advance()
    assert (four.phase, four.round.firstBallotId) == (Phase.FINALISED, 0)
    assert four.ledger.header(1).winner == four.miners[1 if is_by_test else 0]
    assert four.ledger.ommerCount(1) == 1
    assert four.credit_wei(four.client) == CLIENT_BOND_WEI
    assert stakes_lost_wei(four) == [ABSENCE_WEI if lacking == 1 and each == 0 else 0 for each in range(4)]
    four.check_settled(1)


def test_advance__test_set_late_for_half_in_overtime__floor_does_not_apply(four: Play) -> None:
    four.to_overtime()
    four.to_voting(four.miners[0])
    split(four, [valid(600_000, 499_999)], [trained(600_000, Kind.WITHHELD)])
    assert (four.phase, four.ledger.header(1).winner) == (Phase.FINALISED, four.miners[0])
    assert four.credit_wei(four.miners[0]) == REWARD_WEI + MINER_BOND_WEI
    four.check_settled(1)


def test_advance__below_the_floor_beside_an_undecided_one__the_client_gets_no_reward_back(four: Play) -> None:
    four.to_overtime()
    four.to_voting(*four.miners[:2])
    below = valid(600_000, 499_999)
    split(four, [below, GOOD], [below, GONE])
    split(four, [GOOD], [GONE])
    four.check_aborted(AbortReason.UNDECIDED)
    assert four.credits_wei(four.miners[:2]) == [MINER_BOND_WEI, REWARD_WEI + MINER_BOND_WEI]
    assert four.credit_wei(four.client) == CLIENT_BOND_WEI
    four.check_settled(1)


def test_advance__training_data_that_most_could_not_fetch__costs_the_client_everything(in_training: Play) -> None:
    """Else a client would stop to serve them once models are revealed, and pay nothing for these."""
    in_training.to_voting(*in_training.miners[:2])
    in_training.finish([NO_DATA, NO_DATA])
    assert in_training.round.firstBallotId == 0
    in_training.check_aborted(AbortReason.UNDECIDED)
    total_wei = REWARD_WEI + FEE_WEI + CLIENT_BOND_WEI + 2 * (MINER_BOND_WEI + JUDGING_WEI)
    assert in_training.credits_wei(in_training.miners[:2]) == [total_wei // 2] * 2
    assert in_training.credit_wei(in_training.client) == 0
    assert stakes_lost_wei(in_training)[:3] == [0] * 3
    in_training.check_settled(1)


# --- what the audit found ---


def test_advance__half_the_stake_sees_one_row_less__no_bond_is_lost(four: Play) -> None:
    """D7: all votes lay within the tolerance, and the lower median cost the miner its bond."""
    four.to_voting(four.miners[0])
    split(four, [valid(900_000, 900_000)], [valid(899_999, 900_000)])
    four.finish([valid(900_000, 900_000)])
    assert (four.phase, four.ledger.header(1).winner) == (Phase.FINALISED, four.miners[0])
    assert four.credit_wei(four.miners[0]) == REWARD_WEI + MINER_BOND_WEI
    four.check_settled(1)
