// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Majority
/// @notice The one rule that ballots are decided by: more than half of all the weight on one identical value. Two runs
/// over the votes find it: the first, in `lead`, the only value that can have so much; the second, what it has.
library Majority {
    /// @notice One vote of the first run. Every weight cancels as much weight on other values: only what more than half
    /// stands behind is sure to be left over.
    /// @dev Nothing can overflow: all weights together fit 112 bits.
    /// @param leader the value that is ahead so far, by `lead`; start with any, and 0
    function count(uint256 leader, uint256 lead, uint256 value, uint256 weight)
        internal
        pure
        returns (uint256, uint256)
    {
        unchecked {
            if (value == leader) return (leader, lead + weight);
            if (weight > lead) return (value, weight - lead);
            return (leader, lead - weight);
        }
    }

    /// @notice Whether a value with this much weight behind it is decided.
    /// @param total all weight, also that of votes that nobody knows
    function isDecided(uint256 support, uint256 total) internal pure returns (bool) {
        return support * 2 > total;
    }
}
