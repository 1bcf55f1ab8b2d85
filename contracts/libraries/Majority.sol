// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Majority
/// @notice The one rule that ballots are decided by: more than half of all the weight on one identical value.
library Majority {
    /// @notice Whether one value holds more than half of `total`, and which.
    /// @param values values[i] weighs weights[i]
    /// @param total at least the sum of the weights; what is missing stands for values that nobody knows
    /// @return isDecided false: no value holds more than half, and `value` means nothing
    function find(uint256[] memory values, uint256[] memory weights, uint256 total)
        internal
        pure
        returns (bool isDecided, uint256 value)
    {
        // Every weight cancels as much weight on other values: what more than half stands behind is left over.
        uint256 lead;
        for (uint256 i = 0; i < values.length; i++) {
            uint256 weight = weights[i];
            if (values[i] == value) lead += weight;
            else if (weight > lead) (lead, value) = (weight - lead, values[i]);
            else lead -= weight;
        }
        uint256 support;
        for (uint256 i = 0; i < values.length; i++) {
            if (values[i] == value) support += weights[i];
        }
        return (support * 2 > total, value);
    }
}
