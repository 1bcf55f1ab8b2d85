// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Difficulty
/// @notice What a sign digest must be below. One formula is both the retarget between blocks and the decay within one:
/// the threshold doubles for every `HALF_LIFE_INTERVALS` target intervals that the search is behind its schedule, and
/// halves for as many that it is ahead. `pole/gradient/difficulty.py` has the same function.
library Difficulty {
    /// @notice Every sign digest is below this one: 24 requirements.
    uint32 internal constant MAX_THRESHOLD = 1 << 24;
    /// @notice Chosen by simulation, see docs/gradient.md.
    uint32 internal constant HALF_LIFE_INTERVALS = 3;

    uint256 private constant FRACTION_BITS = 16;
    uint256 private constant ROOT_BITS = 32;
    uint256 private constant ROOTS_PER_WORD = 8;
    /// @dev What 2^(1/2), 2^(1/4), ... 2^(1/256) are above one, in 32 bits each, the first in the highest bits.
    uint256 private constant FIRST_ROOTS = 0x6a09e668306fe0a3172b83c80b5586d0059b0d3102c9a3e70163daa000b1afa6;
    /// @dev The same of 2^(1/512) to 2^(1/65536).
    uint256 private constant LAST_ROOTS = 0x0058c86e002c605e00162f39000b175f00058ba00002c5cc000162e50000b172;

    /// @param initial threshold of a task that is on schedule
    /// @param searchedS search time so far
    /// @param scheduledS search time that the blocks so far should have taken
    function threshold(uint32 initial, uint256 searchedS, uint256 scheduledS, uint256 targetIntervalS)
        internal
        pure
        returns (uint32)
    {
        int256 doublings = _doublings(searchedS, scheduledS, HALF_LIFE_INTERVALS * targetIntervalS);
        int256 whole = doublings >> FRACTION_BITS;
        if (whole >= 24) return MAX_THRESHOLD;
        if (whole < -24) return 1;
        uint256 scaled = initial * _powerOfTwo(uint256(doublings) % (1 << FRACTION_BITS));
        scaled = whole < 0 ? scaled >> uint256(-whole) : scaled << uint256(whole);
        scaled >>= ROOT_BITS;
        if (scaled > MAX_THRESHOLD) return MAX_THRESHOLD;
        return scaled == 0 ? 1 : uint32(scaled);
    }

    /// @return doublings with `FRACTION_BITS` binary places, rounded down
    function _doublings(uint256 searchedS, uint256 scheduledS, uint256 halfLifeS)
        private
        pure
        returns (int256 doublings)
    {
        if (searchedS >= scheduledS) {
            return int256(((searchedS - scheduledS) << FRACTION_BITS) / halfLifeS);
        }
        uint256 aheadS = scheduledS - searchedS;
        return -int256(((aheadS << FRACTION_BITS) + halfLifeS - 1) / halfLifeS);
    }

    /// @dev 2^(fraction / 2^16) as the product of the roots that the fraction's bits stand for.
    /// @return power with `ROOT_BITS` binary places
    function _powerOfTwo(uint256 fraction) private pure returns (uint256 power) {
        power = 1 << ROOT_BITS;
        for (uint256 i = 0; i < FRACTION_BITS; i++) {
            if ((fraction >> (FRACTION_BITS - 1 - i)) % 2 == 0) continue;
            uint256 word = i < ROOTS_PER_WORD ? FIRST_ROOTS : LAST_ROOTS;
            uint256 root =
                (word >> (ROOT_BITS * (ROOTS_PER_WORD - 1 - i % ROOTS_PER_WORD))) % (1 << ROOT_BITS);
            power += (power * root) >> ROOT_BITS;
        }
    }
}
