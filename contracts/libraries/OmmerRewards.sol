// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice How equation (2) is read. `Fraction`: R_w / (H_w - H_o) * O_num. `Printed`: R_w * H_w - H_o * O_num.
enum OmmerFormula {
    Fraction,
    Printed
}

/// @title OmmerRewards
/// @notice R_r, what the producer of a referenced ommer earns. `Source: PoLe, equation (2)`
library OmmerRewards {
    /// @notice The referencing winner's own share of R_w. `Source: Ethereum's rule; the paper gives none`
    uint256 internal constant REFERENCE_DIVISOR = 32;
    /// @notice Heights back from which an ommer may still be referenced.
    uint256 internal constant MAX_DEPTH = 6;

    error OmmerNotOlder(uint256 winnerHeight, uint256 ommerHeight);

    /// @notice R_r, never more than R_w: an ommer must not earn more than a winner, nor sybils by splitting.
    /// @param winnerReward R_w
    /// @param ommerCount O_num, the ommers at the ommer's height
    function rewardDown(
        OmmerFormula formula,
        uint256 winnerReward,
        uint256 winnerHeight,
        uint256 ommerHeight,
        uint256 ommerCount
    ) internal pure returns (uint256) {
        if (ommerHeight >= winnerHeight) revert OmmerNotOlder(winnerHeight, ommerHeight);
        uint256 uncapped = formula == OmmerFormula.Fraction
            ? Math.mulDiv(winnerReward, ommerCount, winnerHeight - ommerHeight)
            : Math.saturatingSub(
                Math.saturatingMul(winnerReward, winnerHeight), Math.saturatingMul(ommerHeight, ommerCount)
            );
        return Math.min(uncapped, winnerReward);
    }
}
