// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {WeightedMedian} from "../../contracts/libraries/WeightedMedian.sol";

/// @dev Proved by halmos for every list of one, two or three pairs with values and weights of 8 bits. More pairs have
/// too many orders for it, and the contract's own lists have up to 21; only order and sums matter, so 8 bits say as
/// much as 128.
contract WeightedMedianProof {
    function check_median__of_one(uint8 value, uint8 weight) external pure {
        uint256[] memory pairs = new uint256[](1);
        pairs[0] = WeightedMedian.pair(value, weight);
        _check(pairs);
    }

    function check_median__of_two(uint8[2] calldata values, uint8[2] calldata weights) external pure {
        uint256[] memory pairs = new uint256[](2);
        for (uint256 i = 0; i < 2; i++) {
            pairs[i] = WeightedMedian.pair(values[i], weights[i]);
        }
        _check(pairs);
    }

    function check_median__of_three(uint8[3] calldata values, uint8[3] calldata weights) external pure {
        uint256[] memory pairs = new uint256[](3);
        for (uint256 i = 0; i < 3; i++) {
            pairs[i] = WeightedMedian.pair(values[i], weights[i]);
        }
        _check(pairs);
    }

    /// @dev Less than half of the weight lies below the median, at least half does not exceed it, and it is given.
    function _check(uint256[] memory pairs) private pure {
        uint256 total;
        uint256[] memory given = new uint256[](pairs.length);
        for (uint256 i = 0; i < pairs.length; i++) {
            given[i] = pairs[i];
            total += uint128(pairs[i]);
        }
        if (total == 0) return;
        uint256 median = WeightedMedian.lower(pairs);
        uint256 below;
        uint256 upTo;
        bool isGiven;
        for (uint256 i = 0; i < given.length; i++) {
            uint256 value = given[i] >> 128;
            if (value < median) below += uint128(given[i]);
            if (value <= median) upTo += uint128(given[i]);
            if (value == median) isGiven = true;
        }
        assert(below * 2 < total);
        assert(upTo * 2 >= total);
        assert(isGiven);
    }
}
