// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ILearningChain} from "../interfaces/ILearningChain.sol";
import {CrowdMiner} from "./CrowdMiner.sol";

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

    /// @notice Makes the calls one after the other, the first with the value; passes on what one reverts with.
    function run(address target, bytes[] calldata calls) external payable {
        for (uint256 i = 0; i < calls.length; i++) {
            Address.functionCallWithValue(target, calls[i], i == 0 ? msg.value : 0);
        }
    }

    /// @notice Makes the same call many times, with these values, out of its own balance.
    function submitMany(address target, bytes calldata data, uint256[] calldata valuesWei) external {
        for (uint256 i = 0; i < valuesWei.length; i++) {
            Address.functionCallWithValue(target, data, valuesWei[i]);
        }
    }
}
