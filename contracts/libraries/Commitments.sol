// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "./Cids.sol";

/// @title Commitments
/// @notice Every hash that hides something until later. Each binds the chain, the contract and the sender, so that
/// none can be replayed elsewhere or by somebody else. `pole/chain/commitments.py` has the same functions.
library Commitments {
    bytes32 internal constant TEST_SET = keccak256("pole.test-set.v1");
    bytes32 internal constant SOLUTION = keccak256("pole.solution.v1");
    bytes32 internal constant BALLOT = keccak256("pole.ballot.v2");
    bytes32 internal constant VOTE = keccak256("pole.vote.v2");

    function testSet(address market, address client, Cid memory cid, bytes32 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(TEST_SET, block.chainid, market, client, cid.codec, cid.digest, salt));
    }

    function solution(
        address chain,
        uint64 roundId,
        address miner,
        bytes32 previousHash,
        Cid memory model,
        bytes32 salt
    ) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                SOLUTION, block.chainid, chain, roundId, miner, previousHash, model.codec, model.digest, salt
            )
        );
    }

    /// @notice The digest of one list of verdicts: a vote, or an outcome. The same for whoever votes so.
    /// @param verdicts packed, see `Verdicts`
    function ballot(address committee, uint64 ballotId, uint256[] memory verdicts)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(BALLOT, block.chainid, committee, ballotId, verdicts));
    }

    function vote(address committee, uint64 ballotId, address verifier, bytes32 digest, bytes32 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(VOTE, block.chainid, committee, ballotId, verifier, digest, salt));
    }
}
