// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../interfaces/ILearningChain.sol";

/// @title CrowdMiner
/// @notice A miner that commits while it is created and never reveals. For tests only; no deployment has it.
contract CrowdMiner {
    constructor(ILearningChain chain, uint64 roundId, uint32 claimedTrainPpm) payable {
        bytes32 previousHash = chain.round(roundId).previousHash;
        chain.commit{value: msg.value}(roundId, previousHash, bytes32(uint256(1)), claimedTrainPpm, 0);
    }
}
