"""No commit can share a block with the test set: a client that is a contract tries."""

from typing import Any

import pytest
from ape.exceptions import ContractLogicError
from eth_utils.crypto import keccak

from tests.contracts.conftest import TASK_TERMS
from tests.contracts.rounds import CLIENT_BOND_WEI, KEYS, SALT, TEST_SET, Play

PAYMENT_WEI = 10**14


@pytest.fixture
def hasty(play: Play, project: Any, deployer: Any) -> Any:
    """A client that is a contract, so that it can close commits and release in one block; its round is due."""
    crowd = deployer.deploy(project.Crowd)
    terms = TASK_TERMS | {"testSetCommitment": play.test_set_commitment(crowd), "solutionsWanted": 1}
    submit = play.market.submit.encode_input(terms, 0)
    crowd.run(play.market, [submit], sender=deployer, value=CLIENT_BOND_WEI + PAYMENT_WEI)
    play.open(has_keys=False)
    keys = play.chain.publishKeys.encode_input(play.round_id, play.round.previousHash, KEYS)
    crowd.run(play.chain, [keys], sender=deployer)
    play.commit(play.miners[0])
    return crowd


def test_release__same_block_as_the_last_commit__reverts(play: Play, hasty: Any, deployer: Any, reverts: Any) -> None:
    close = play.chain.advance.encode_input(play.round_id)
    release = play.chain.releaseTestSet.encode_input(play.round_id, TEST_SET, SALT)
    with pytest.raises(ContractLogicError) as caught:
        hasty.run(play.chain, [close, release], sender=deployer)
    assert keccak(text="ReleaseTooEarly(uint64,uint40)")[:4].hex() in str(caught.value.revert_message)
    # The same two calls in two blocks are fine.
    hasty.run(play.chain, [close], sender=deployer)
    hasty.run(play.chain, [release], sender=deployer)
    assert play.round.isTestSetReleased


def test_commit__same_block_after_closing__reverts(play: Play, hasty: Any, deployer: Any) -> None:
    close = play.chain.advance.encode_input(play.round_id)
    commit = play.chain.commit.encode_input(play.round_id, play.round.previousHash, SALT, 950_000, 0)
    with pytest.raises(ContractLogicError) as caught:
        hasty.run(play.chain, [close, commit], sender=deployer)
    assert keccak(text="WrongPhase(uint64,uint8)")[:4].hex() in str(caught.value.revert_message)
