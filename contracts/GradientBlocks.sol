// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "./interfaces/IGradientChain.sol";
import {AnchorSource, Anchors} from "./libraries/Anchors.sol";

/// @title GradientBlocks
/// @notice The gradient chain's headers. See {IGradientChain}.
abstract contract GradientBlocks is IGradientChain {
    AnchorSource internal immutable ANCHOR;
    uint64 private _height;
    mapping(uint64 atHeight => GradientHeader) private _headers;
    mapping(uint64 atHeight => bytes32) private _headerHashes;
    mapping(uint64 atHeight => uint64) private _headerBlocks;

    /// @dev The genesis header names this deployment, so no header of another chain has the same hash.
    constructor(AnchorSource anchor) {
        ANCHOR = anchor;
        GradientHeader memory genesis;
        genesis.previousHash = keccak256(abi.encode("pole.gradient.v1", block.chainid, address(this)));
        _store(genesis);
    }

    /// @inheritdoc IGradientChain
    function height() public view virtual override returns (uint64) {
        return _height;
    }

    /// @inheritdoc IGradientChain
    function headerHash(uint64 atHeight) public view override returns (bytes32) {
        _checkHeight(atHeight);
        return _headerHashes[atHeight];
    }

    /// @inheritdoc IGradientChain
    function header(uint64 atHeight) external view override returns (GradientHeader memory) {
        _checkHeight(atHeight);
        return _headers[atHeight];
    }

    /// @inheritdoc IGradientChain
    function headerBlock(uint64 atHeight) public view override returns (uint64) {
        _checkHeight(atHeight);
        return _headerBlocks[atHeight];
    }

    /// @dev When a block was appended.
    function headerTime(uint64 atHeight) internal view returns (uint40) {
        return uint40(_headers[atHeight].timestamp);
    }

    /// @dev Links the header to the one before and stores it.
    function _append(GradientHeader memory added) internal {
        added.previousHash = _headerHashes[_height];
        added.height = ++_height;
        _store(added);
    }

    function _store(GradientHeader memory added) private {
        added.anchorHash = Anchors.latest(ANCHOR);
        added.timestamp = uint64(block.timestamp);
        bytes32 hash = keccak256(abi.encode(added));
        _headers[added.height] = added;
        _headerHashes[added.height] = hash;
        _headerBlocks[added.height] = uint64(block.number);
        emit GradientBlockAppended(added.height, added.taskId, hash, added);
    }

    function _checkHeight(uint64 atHeight) private view {
        if (atHeight > _height) revert UnknownHeight(atHeight);
    }
}
