// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IArbSys} from "../libraries/Anchors.sol";

/// @title ArbSysStandIn
/// @notice Arbitrum's system contract for nodes of other networks, under its address. For tests only.
contract ArbSysStandIn is IArbSys {
    error InvalidBlockNumber(uint256 requested, uint256 current);

    /// @inheritdoc IArbSys
    function arbBlockNumber() public view override returns (uint256) {
        return block.number;
    }

    /// @inheritdoc IArbSys
    function arbBlockHash(uint256 arbBlockNum) external view override returns (bytes32 hash) {
        hash = blockhash(arbBlockNum);
        if (hash == bytes32(0)) revert InvalidBlockNumber(arbBlockNum, block.number);
    }
}
