// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVerifierCommittee} from "../interfaces/IVerifierCommittee.sol";
import {Majority} from "../libraries/Majority.sol";
import {Ranking} from "../libraries/Ranking.sol";
import {Verdicts} from "../libraries/Verdicts.sol";

/// @title VerdictHarness
/// @notice Makes the pure functions that judge votes callable. For tests only; no deployment has it.
contract VerdictHarness {
    function majority(uint256[] calldata values, uint256[] calldata weights, uint256 total)
        external
        pure
        returns (bool isDecided, uint256 value)
    {
        return Majority.find(values, weights, total);
    }

    function check(uint256[] calldata vote, uint256 entryCount) external pure {
        Verdicts.check(vote, entryCount);
    }

    function decide(uint256[][] calldata votes, uint256[] calldata weights, uint256 total, uint256 entryCount)
        external
        pure
        returns (uint256[] memory outcome)
    {
        return Verdicts.decide(votes, weights, total, entryCount);
    }

    function stance(uint256[] calldata vote, uint256[] calldata outcome)
        external
        pure
        returns (Verdicts.Stance)
    {
        return Verdicts.stance(vote, outcome);
    }

    function compress(uint256[] calldata outcome) external pure returns (uint256[] memory words) {
        return Verdicts.compress(outcome);
    }

    function expand(uint256[] calldata words, uint256 entryCount)
        external
        pure
        returns (IVerifierCommittee.Verdict[] memory verdicts)
    {
        return Verdicts.expand(words, entryCount);
    }

    function best(uint256[] calldata scores, uint256 places)
        external
        pure
        returns (uint256[] memory positions)
    {
        return Ranking.best(scores, places);
    }
}
