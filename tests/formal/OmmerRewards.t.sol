// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OmmerFormula, OmmerRewards} from "../../contracts/libraries/OmmerRewards.sol";

/// @dev Proved by halmos for every count of ommers that fits 8 bits, at each distance that can be paid. `mulDiv` works
/// in 512 bits, and solvers do not end when two of its arguments are open: the reward is the one that is deployed, and
/// for the printed formula one that is small enough for its cap not to hide the rest.
contract OmmerRewardsProof {
    uint256 private constant R_W = 32e18;
    uint256 private constant SMALL_R_W = 5;
    uint256 private constant OMMER_HEIGHT = 100;

    /// @notice No ommer earns more than a winner.
    function check_fraction__is_at_most_the_winners(uint8 count) external pure {
        for (uint256 distance = 1; distance <= OmmerRewards.MAX_DEPTH; distance++) {
            assert(_fraction(distance, count) <= R_W);
        }
    }

    /// @notice Below the cap it is R_w * O_num / distance, rounded down.
    function check_fraction__is_the_quotient_rounded_down(uint8 count) external pure {
        for (uint256 distance = 1; distance <= OmmerRewards.MAX_DEPTH; distance++) {
            if (count <= distance) assert(_fraction(distance, count) == R_W * count / distance);
        }
    }

    /// @notice More ommers at a height never mean less for the one that is paid.
    function check_fraction__never_falls_with_the_count(uint8 count, uint8 more) external pure {
        if (more < count) return;
        assert(_fraction(6, more) >= _fraction(6, count));
    }

    /// @notice An ommer that waited longer never earns more.
    function check_fraction__never_grows_with_the_distance(uint8 count) external pure {
        for (uint256 distance = 1; distance < OmmerRewards.MAX_DEPTH; distance++) {
            assert(_fraction(distance + 1, count) <= _fraction(distance, count));
        }
    }

    /// @notice As printed: never more than the winner's, and never more with more ommers.
    function check_printed__is_capped_and_never_grows_with_the_count(uint8 count, uint8 more) external pure {
        if (more < count) return;
        uint256 earned = _printed(count);
        assert(earned <= SMALL_R_W);
        assert(_printed(more) <= earned);
    }

    function _fraction(uint256 distance, uint256 count) private pure returns (uint256) {
        return
            OmmerRewards.rewardDown(OmmerFormula.Fraction, R_W, OMMER_HEIGHT + distance, OMMER_HEIGHT, count);
    }

    function _printed(uint256 count) private pure returns (uint256) {
        return OmmerRewards.rewardDown(OmmerFormula.Printed, SMALL_R_W, 4, 3, count);
    }
}
