"""LearningChain: overtime, and rounds whose client withheld the test set."""

from tests.contracts.rounds import (
    CLIENT_BOND_WEI,
    INVALID,
    MINER_BOND_WEI,
    REWARD_WEI,
    AbortReason,
    Phase,
    Play,
    trained,
    valid,
)

# --- overtime ---


def test_advance__overtime_winner_below_the_floor__refunds(in_training: Play) -> None:
    in_training.to_overtime()
    in_training.to_voting(*in_training.miners[:2])
    in_training.finish([valid(600_000, 499_999), INVALID])
    in_training.check_aborted(AbortReason.BELOW_FLOOR)
    got_wei = REWARD_WEI + CLIENT_BOND_WEI + MINER_BOND_WEI - in_training.occupancy_wei(in_training.now_s)
    assert in_training.credit_wei(in_training.client) == got_wei
    assert in_training.credits_wei(in_training.miners[:2]) == [MINER_BOND_WEI, 0]
    in_training.check_settled(1)


def test_advance__overtime__best_test_accuracy_wins_without_ommers(in_training: Play) -> None:
    in_training.to_overtime()
    in_training.to_voting(*in_training.miners[:2])
    in_training.finish([valid(600_000, 500_000), valid(500_000, 510_000)])
    assert in_training.phase == Phase.FINALISED
    assert in_training.ledger.header(1).winner == in_training.miners[1]
    assert in_training.ledger.ommers(1) == []
    assert in_training.ledger.ommerCount(1) == 0
    in_training.check_settled(1)


def test_advance__overtime_without_release__floor_does_not_apply(in_training: Play) -> None:
    in_training.to_overtime()
    in_training.to_unreleased_reveal(in_training.miners[0])
    in_training.reveal(in_training.miners[0])
    in_training.advance()
    in_training.finish([trained(600_000)])
    assert in_training.ledger.header(1).winner == in_training.miners[0]
    assert in_training.credit_wei(in_training.miners[0]) == REWARD_WEI + MINER_BOND_WEI + CLIENT_BOND_WEI
    in_training.check_settled(1)


# --- withheld test set ---


def test_advance__test_set_withheld__train_accuracy_ranks_and_valid_miners_share_the_bond(
    in_training: Play,
) -> None:
    in_training.to_unreleased_reveal(*in_training.miners[:3])
    assert in_training.phase == Phase.REVEAL
    assert not in_training.round.isTestSetReleased
    in_training.reveal(*in_training.miners[:3])
    in_training.advance()
    in_training.finish([trained(910_000), trained(930_000), INVALID])
    header = in_training.ledger.header(1)
    assert (header.winner, header.trainPpm) == (in_training.miners[1], 930_000)
    share_wei = CLIENT_BOND_WEI // 2
    paid_wei = [MINER_BOND_WEI + share_wei, REWARD_WEI + MINER_BOND_WEI + share_wei, 0]
    assert in_training.credits_wei(in_training.miners[:3]) == paid_wei
    assert in_training.credit_wei(in_training.client) == MINER_BOND_WEI  # the invalid one's
    in_training.check_settled(1)
