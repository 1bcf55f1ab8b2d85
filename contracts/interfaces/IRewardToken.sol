// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title IRewardToken
/// @notice What "the blockchain system issues": R_w and the ommer rewards. Minted only by the chains.
interface IRewardToken is IERC20 {
    error NotMinter(address caller);
    error ZeroAddress();

    function mint(address to, uint256 amount) external;
    function isMinter(address minter) external view returns (bool);
}
