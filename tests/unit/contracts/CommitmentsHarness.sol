// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "contracts/libraries/Cids.sol";
import {Commitments} from "contracts/libraries/Commitments.sol";

/// @title CommitmentsHarness
/// @notice Makes the library's functions callable, to compare them with pole/chain/commitments.py.
contract CommitmentsHarness {
    function testSet(address market, address client, Cid calldata cid, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return Commitments.testSet(market, client, cid, salt);
    }

    function solution(
        address chain,
        uint64 roundId,
        address miner,
        bytes32 previousHash,
        Cid calldata model,
        bytes32 salt
    ) external view returns (bytes32) {
        return Commitments.solution(chain, roundId, miner, previousHash, model, salt);
    }

    function ballot(address committee, uint64 ballotId, uint256[] calldata verdicts)
        external
        view
        returns (bytes32)
    {
        return Commitments.ballot(committee, ballotId, verdicts);
    }

    function vote(address committee, uint64 ballotId, address verifier, bytes32 digest, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return Commitments.vote(committee, ballotId, verifier, digest, salt);
    }
}
