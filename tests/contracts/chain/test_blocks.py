"""LearningChain, blocks: header chain, body, inclusion proofs, ommers and their rewards, idle rounds."""

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from pole.chain.commitments import body_proof, body_root
from tests.contracts.rounds import (
    INVALID,
    TEST_SET,
    WINNER_REWARD,
    ZERO_HASH,
    Play,
    make_cid,
    valid,
)

HEADER_TYPE = "(uint64,uint64,address,bytes32,(uint8,bytes32),uint32,uint32,bytes32,bytes32,bytes32,uint64)"
REFERENCE_REWARD = WINNER_REWARD // 32


def as_tuple(header: Any) -> tuple[Any, ...]:
    values = dict(header.items())
    values["model"] = (header.model.codec, header.model.digest)
    return tuple(values.values())


def header_hash(header: Any) -> bytes:
    return keccak(encode([HEADER_TYPE], [as_tuple(header)]))


def ommer_hash(height: int, miner: Any, model: tuple[int, bytes], train_ppm: int, test_ppm: int) -> bytes:
    types = ["uint64", "address", "(uint8,bytes32)", "uint32", "uint32"]
    return keccak(encode(types, [height, miner.address, model, train_ppm, test_ppm]))


@pytest.fixture(scope="module")
def three_blocks(play: Play, create_task: Any) -> Play:
    """Height 1 has two ommers (the second better), height 2 references that one, height 3 the other."""
    play.play(create_task, [valid(950_000, 800_000), valid(940_000, 930_000), valid(960_000, 850_000)])
    play.play(create_task, [valid(950_000, 900_000)])
    play.play(create_task, [valid(950_000, 900_000), INVALID])
    return play


# --- headers ---


def test_header__above_the_height__reverts(three_blocks: Play, reverts: Any) -> None:
    for view in (three_blocks.ledger.header, three_blocks.ledger.headerHash, three_blocks.ledger.ommers):
        with reverts(three_blocks.ledger.UnknownHeight, height=4):
            view(4)
    with reverts(three_blocks.ledger.UnknownHeight, height=9):
        three_blocks.ledger.ommerCount(9)


def test_header__every_block__hashes_and_links(three_blocks: Play) -> None:
    chain = three_blocks.ledger
    assert chain.height() == 3
    for height in range(4):
        header = chain.header(height)
        assert chain.headerHash(height) == header_hash(header)
        assert header.previousHash == (chain.headerHash(height - 1) if height else ZERO_HASH)
    played = [three_blocks.chain.round(round_id) for round_id in (1, 2, 3)]
    assert [each.previousHash for each in played] == [chain.header(h).roundHash for h in (1, 2, 3)]
    assert [each.commitsClosedAt for each in played] == [chain.header(h).timestamp for h in (1, 2, 3)]


def test_header__first_block__says_who_won_with_what(three_blocks: Play) -> None:
    header, winner = three_blocks.ledger.header(1), three_blocks.miners[1]
    assert (header.height, header.taskId, header.winner) == (1, 1, winner)
    assert (header.trainPpm, header.testPpm) == (940_000, 930_000)
    assert (header.model.codec, header.model.digest) == make_cid(f"model of {winner.address} in 1")
    assert header.ommerHash == ZERO_HASH
    assert ZERO_HASH not in (header.roundHash, header.bodyRoot)


# --- body and inclusion ---


def test_body__first_block__commits_to_lists_data_round_and_test_set(three_blocks: Play) -> None:
    values = three_blocks.body_of(1)
    assert values[1] == keccak(encode(["bytes32", "uint64"], [ZERO_HASH, 1]))  # task 1 is new
    manifest = three_blocks.market.task(1).terms.manifest
    assert values[2] == keccak(encode(["uint8", "bytes32"], [manifest.codec, manifest.digest]))
    assert values[3] == three_blocks.transcript_of(1, 1)
    assert values[4] == keccak(encode(["uint8", "bytes32"], TEST_SET))
    assert three_blocks.ledger.header(1).bodyRoot == body_root(values)


@pytest.mark.parametrize("index", range(5))
def test_is_included__every_leaf__has_a_proof(three_blocks: Play, index: int) -> None:
    values = three_blocks.body_of(2)
    proof = body_proof(values, index)
    assert three_blocks.ledger.isIncluded(2, index, values[index], proof)
    assert not three_blocks.ledger.isIncluded(1, index, values[index], proof)
    assert not three_blocks.ledger.isIncluded(2, (index + 1) % 5, values[index], proof)
    assert not three_blocks.ledger.isIncluded(2, index, keccak(values[index]), proof)


def test_is_included__height_to_come__reverts(three_blocks: Play, reverts: Any) -> None:
    with reverts(three_blocks.ledger.UnknownHeight, height=4):
        three_blocks.ledger.isIncluded(4, 0, ZERO_HASH, [])


# --- ommers ---


def test_ommers__valid_losers__best_first(three_blocks: Play) -> None:
    best, second = three_blocks.ledger.ommers(1)
    miners = three_blocks.miners
    assert (best.miner, best.testPpm, best.trainPpm) == (miners[2], 850_000, 960_000)
    assert (second.miner, second.testPpm) == (miners[0], 800_000)
    model = make_cid(f"model of {miners[2].address} in 1")
    assert best.hash == ommer_hash(1, miners[2], model, 960_000, 850_000)
    assert three_blocks.ledger.ommerCount(1) == 2


def test_ommers__referenced_one_by_one__best_first(three_blocks: Play) -> None:
    best, second = three_blocks.ledger.ommers(1)
    assert best.isReferenced
    assert second.isReferenced
    assert three_blocks.ledger.header(2).ommerHash == best.hash
    assert three_blocks.ledger.header(3).ommerHash == second.hash


def test_ommers__fraction_formula__pays_by_distance(three_blocks: Play) -> None:
    # O_num 2: R_w / 1 * 2, capped at R_w, for the third miner; R_w / 2 * 2 for the first, which won heights 2 and 3
    # and earned the reference reward twice.
    rewards = [three_blocks.token.balanceOf(miner) for miner in three_blocks.miners[:3]]
    assert rewards == [2 * WINNER_REWARD + 2 * REFERENCE_REWARD + WINNER_REWARD, WINNER_REWARD, WINNER_REWARD]
    assert three_blocks.token.totalSupply() == sum(rewards)


def test_ommers__all_referenced__next_block_references_none(three_blocks: Play, create_task: Any) -> None:
    three_blocks.play(create_task, [valid(950_000, 900_000)])
    assert three_blocks.ledger.header(4).ommerHash == ZERO_HASH
