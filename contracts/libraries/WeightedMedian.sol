// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title WeightedMedian
/// @notice The lower weighted median: the smallest value that at least half of the weight does not exceed.
library WeightedMedian {
    uint256 private constant WEIGHT_BITS = 128;

    error Empty();

    /// @notice A value and its weight in one word, so that sorting moves one word per step.
    function pair(uint128 value, uint128 weight) internal pure returns (uint256) {
        return (uint256(value) << WEIGHT_BITS) | weight;
    }

    /// @notice Sorts the pairs in place and returns the median of their values; one without a weight changes nothing.
    function lower(uint256[] memory pairs) internal pure returns (uint256) {
        uint256 total = _sort(pairs);
        uint256 passed;
        for (uint256 i = 0; i < pairs.length; i++) {
            passed += uint128(pairs[i]);
            if (passed != 0 && passed * 2 >= total) return pairs[i] >> WEIGHT_BITS;
        }
        revert Empty();
    }

    /// @dev Insertion sort: no step at all where the values agree, which is what honest votes do. Nothing can
    /// overflow: `place` never exceeds the length, and under 2^128 weights of 128 bits fit a word.
    function _sort(uint256[] memory pairs) private pure returns (uint256 total) {
        uint256 count = pairs.length;
        unchecked {
            for (uint256 i = 0; i < count; i++) {
                uint256 inserted = pairs[i];
                uint256 value = inserted >> WEIGHT_BITS;
                uint256 place = i;
                for (; place != 0; place--) {
                    uint256 previous = pairs[place - 1];
                    if (previous >> WEIGHT_BITS <= value) break;
                    pairs[place] = previous;
                }
                pairs[place] = inserted;
                total += uint128(inserted);
            }
        }
    }
}
