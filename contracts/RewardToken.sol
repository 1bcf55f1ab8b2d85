// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IRewardToken} from "./interfaces/IRewardToken.sol";

/// @title RewardToken
/// @notice See the documentation in {IRewardToken}.
contract RewardToken is ERC20, IRewardToken {
    /// @inheritdoc IRewardToken
    mapping(address minter => bool isAllowed) public override isMinter;

    /// @param minters the chains; fixed for ever
    constructor(address[] memory minters) ERC20("Learning Reward", "LEARN") {
        for (uint256 i = 0; i < minters.length; i++) {
            if (minters[i] == address(0)) revert ZeroAddress();
            isMinter[minters[i]] = true;
        }
    }

    /// @inheritdoc IRewardToken
    function mint(address to, uint256 amount) external override {
        // Check: only a chain issues rewards.
        if (!isMinter[msg.sender]) revert NotMinter(msg.sender);

        // Effect: mint; ERC20 emits the event.
        _mint(to, amount);
    }
}
