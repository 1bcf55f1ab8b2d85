// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../interfaces/ILearningChain.sol";

/// @notice A miner that commits in its first transaction and never reveals.
contract CrowdMiner {
    constructor(ILearningChain chain, uint64 roundId, uint32 claimedTrainPpm) payable {
        chain.commit{value: msg.value}(roundId, bytes32(uint256(1)), claimedTrainPpm);
    }
}

/// @title Crowd
/// @notice Many miners, and many calls, in one transaction. For tests only; no deployment has it.
contract Crowd {
    function commit(ILearningChain chain, uint64 roundId, uint32 claimedTrainPpm, uint256 count)
        external
        payable
    {
        for (uint256 i = 0; i < count; i++) {
            new CrowdMiner{value: msg.value / count}(chain, roundId, claimedTrainPpm);
        }
    }

    /// @notice Makes the calls one after the other, in one block; passes on what the failing one reverts with.
    function run(address target, bytes[] calldata calls) external payable {
        uint256 valueWei = msg.value;
        for (uint256 i = 0; i < calls.length; i++) {
            (bool wasDone, bytes memory result) = target.call{value: valueWei}(calls[i]);
            valueWei = 0;
            if (!wasDone) {
                assembly ("memory-safe") {
                    revert(add(result, 32), mload(result))
                }
            }
        }
    }
}
