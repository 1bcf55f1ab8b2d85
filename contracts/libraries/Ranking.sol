// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Ranking
/// @notice The best few of many scores.
library Ranking {
    uint256 private constant POSITION_BITS = 16;

    /// @notice Positions of the highest scores, best first, the earlier first among equals.
    /// @param scores one more than what is compared; 0: not in the running. Each under 2^240
    /// @param places how many to return at most
    function best(uint256[] memory scores, uint256 places)
        internal
        pure
        returns (uint256[] memory positions)
    {
        uint256[] memory top = new uint256[](places);
        uint256 count;
        for (uint256 i = 0; i < scores.length; i++) {
            if (scores[i] == 0) continue;
            uint256 key = (scores[i] << POSITION_BITS) | (type(uint16).max - i);
            if (count < places) count++;
            if (key > top[places - 1]) _insert(top, key);
        }
        positions = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            positions[i] = type(uint16).max - uint16(top[i]);
        }
    }

    /// @dev Keeps `top` in falling order; the lowest falls out.
    function _insert(uint256[] memory top, uint256 key) private pure {
        for (uint256 place = 0; place < top.length; place++) {
            if (key > top[place]) (key, top[place]) = (top[place], key);
        }
    }
}
