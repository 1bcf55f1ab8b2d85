// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Majority} from "../../contracts/libraries/Majority.sol";

/// @dev Proved by halmos for every list of one, two or three votes with values and weights of 8 bits, and for every weight of
/// votes that nobody knows. More votes have too many orders for it, and ballots have up to 21; only equality and sums
/// matter, so 8 bits say as much as 96 and 112. What one vote does to any count before it is proved for all 256 bits.
contract MajorityProof {
    function check_majority__of_one(uint8 value, uint8 weight, uint8 unknown) external pure {
        uint8[] memory values = new uint8[](1);
        uint8[] memory weights = new uint8[](1);
        (values[0], weights[0]) = (value, weight);
        _check(values, weights, unknown);
    }

    function check_majority__of_two(uint8[2] calldata given, uint8[2] calldata weighed, uint8 unknown)
        external
        pure
    {
        uint8[] memory values = new uint8[](2);
        uint8[] memory weights = new uint8[](2);
        for (uint256 i = 0; i < 2; i++) {
            (values[i], weights[i]) = (given[i], weighed[i]);
        }
        _check(values, weights, unknown);
    }

    function check_majority__of_three(uint8[3] calldata given, uint8[3] calldata weighed, uint8 unknown)
        external
        pure
    {
        uint8[] memory values = new uint8[](3);
        uint8[] memory weights = new uint8[](3);
        for (uint256 i = 0; i < 3; i++) {
            (values[i], weights[i]) = (given[i], weighed[i]);
        }
        _check(values, weights, unknown);
    }

    /// @notice More than half of the weight on one value decides it, whatever the rest does: the step that all counts
    /// are made of keeps what the majority has beyond all others, for any count before it.
    /// `margin`: what the votes for `value` have beyond all others so far; `lost` is what this count understates it by.
    function check_step__keeps_the_margin(
        uint256 value,
        uint256 leader,
        uint112 lead,
        uint256 vote,
        uint112 weight,
        uint112 lost
    ) external pure {
        int256 margin = value == leader ? int256(uint256(lead)) - int256(uint256(lost)) : -int256(uint256(lead)) - int256(uint256(lost));
        (uint256 newLeader, uint256 newLead) = Majority.count(leader, lead, vote, weight);
        int256 newMargin = margin + (vote == value ? int256(uint256(weight)) : -int256(uint256(weight)));
        // The invariant: the margin is at most the lead of the value, and at most minus the lead of another.
        if (newLeader == value) assert(newMargin <= int256(newLead));
        else assert(newMargin <= -int256(newLead));
    }

    /// @dev Decided is exactly what has more than half of all weight, by the definition.
    function _check(uint8[] memory values, uint8[] memory weights, uint8 unknown) private pure {
        uint256 total = unknown;
        uint256 leader;
        uint256 lead;
        for (uint256 i = 0; i < values.length; i++) {
            total += weights[i];
            (leader, lead) = Majority.count(leader, lead, values[i], weights[i]);
        }
        bool isDecided = Majority.isDecided(_support(values, weights, leader), total);
        for (uint256 i = 0; i < values.length; i++) {
            bool hasMajority = 2 * _support(values, weights, values[i]) > total;
            assert(hasMajority == (isDecided && values[i] == leader));
        }
    }

    function _support(uint8[] memory values, uint8[] memory weights, uint256 value)
        private
        pure
        returns (uint256 support)
    {
        for (uint256 i = 0; i < values.length; i++) {
            if (values[i] == value) support += weights[i];
        }
    }
}
