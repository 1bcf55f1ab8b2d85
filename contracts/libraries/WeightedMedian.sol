// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title WeightedMedian
/// @notice The lower weighted median: the smallest value that at least half of the weight does not exceed.
library WeightedMedian {
    /// @dev A value shares a word with its weight, so that sorting moves one word per step.
    uint256 private constant WEIGHT_BITS = 128;

    error Empty();
    error LengthMismatch(uint256 values, uint256 weights);
    error TooLarge(uint256 value, uint256 weight);

    /// @param values each under 2^128
    /// @param weights each under 2^128; the array stays as it is
    function lower(uint256[] memory values, uint256[] memory weights) internal pure returns (uint256) {
        if (values.length != weights.length) revert LengthMismatch(values.length, weights.length);
        if (values.length == 0) revert Empty();
        uint256[] memory sorted = new uint256[](values.length);
        uint256 total;
        for (uint256 i = 0; i < values.length; i++) {
            _insert(sorted, i, values[i], weights[i]);
            total += weights[i];
        }
        return _lowerOfSorted(sorted, total);
    }

    /// @dev Insertion costs nothing where the values agree, which is what honest votes do.
    function _insert(uint256[] memory sorted, uint256 count, uint256 value, uint256 weight) private pure {
        if (value >> WEIGHT_BITS != 0 || weight >> WEIGHT_BITS != 0) revert TooLarge(value, weight);
        uint256 place = count;
        while (place > 0 && sorted[place - 1] >> WEIGHT_BITS > value) {
            sorted[place] = sorted[place - 1];
            place--;
        }
        sorted[place] = (value << WEIGHT_BITS) | weight;
    }

    function _lowerOfSorted(uint256[] memory sorted, uint256 total) private pure returns (uint256) {
        uint256 passed;
        for (uint256 i = 0; i < sorted.length; i++) {
            passed += uint128(sorted[i]);
            if (passed * 2 >= total) return sorted[i] >> WEIGHT_BITS;
        }
        revert Empty();
    }
}
