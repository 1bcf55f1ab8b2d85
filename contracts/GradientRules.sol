// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "./interfaces/IGradientChain.sol";
import {Cids} from "./libraries/Cids.sol";
import {Difficulty} from "./libraries/Difficulty.sol";

uint32 constant LONGEST_TASK_S = 365 days;

/// @title GradientRules
/// @notice What the gradient chain computes without its state: a contract of its own, which the chain deploys, so that the
/// chain's code stays well below the limit.
contract GradientRules {
    uint256 private constant PPM = 1_000_000;

    /// @notice See {Difficulty-threshold}.
    function threshold(uint32 initial, uint256 searchedS, uint256 scheduledS, uint256 targetIntervalS)
        external
        pure
        returns (uint32)
    {
        return Difficulty.threshold(initial, searchedS, scheduledS, targetIntervalS);
    }

    /// @notice Reverts unless a task's terms can be met.
    function checkTerms(
        IGradientChain.GradientTerms calldata terms,
        uint128 minBlockRewardWei,
        uint32 maxBlockTimeLimitS
    ) external pure {
        Cids.check(terms.manifest);
        Cids.check(terms.genesisWeights);
        if (terms.blockRewardWei < minBlockRewardWei) {
            revert IGradientChain.InvalidTerm("blockRewardWei", terms.blockRewardWei);
        }
        if (terms.targetTestPpm > PPM) {
            revert IGradientChain.InvalidTerm("targetTestPpm", terms.targetTestPpm);
        }
        if (terms.blockTimeLimitS == 0 || terms.blockTimeLimitS > maxBlockTimeLimitS) {
            revert IGradientChain.InvalidTerm("blockTimeLimitS", terms.blockTimeLimitS);
        }
        if (terms.blockCount == 0 || uint256(terms.blockCount) * terms.blockTimeLimitS > LONGEST_TASK_S) {
            revert IGradientChain.InvalidTerm("blockCount", terms.blockCount);
        }
        if (terms.targetIntervalS == 0 || terms.targetIntervalS > terms.blockTimeLimitS) {
            revert IGradientChain.InvalidTerm("targetIntervalS", terms.targetIntervalS);
        }
        _checkSteps(terms);
    }

    /// @dev Under the paper's rules a block is one step, and all of its requirements hold.
    function _checkSteps(IGradientChain.GradientTerms calldata terms) private pure {
        bool isPaper = terms.rules == IGradientChain.Rules.Paper;
        if ((terms.minStep == 0) != isPaper) revert IGradientChain.InvalidTerm("minStep", terms.minStep);
        if (isPaper ? terms.maxStep != 0 : terms.maxStep < terms.minStep) {
            revert IGradientChain.InvalidTerm("maxStep", terms.maxStep);
        }
        uint32 maxThreshold = isPaper ? 1 : Difficulty.MAX_THRESHOLD;
        if (terms.initialThreshold == 0 || terms.initialThreshold > maxThreshold) {
            revert IGradientChain.InvalidTerm("initialThreshold", terms.initialThreshold);
        }
    }
}
