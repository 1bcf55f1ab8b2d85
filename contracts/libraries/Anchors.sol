// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Where a deployment takes what nobody knows beforehand. `BlockHash`: read when it is needed, for networks on
/// which 256 blocks outlast a round's windows. The others are kept by somebody's transaction, see
/// {IBlockLedger-keepAnchor}. `ArbSys`: hash of Arbitrum's own block; what `blockhash` says there can be foreseen.
enum AnchorSource {
    BlockHash,
    KeptBlockHash,
    PrevRandao,
    ArbSys
}

/// @notice The part of Arbitrum's system contract that is used here.
interface IArbSys {
    function arbBlockNumber() external view returns (uint256);
    /// @notice Reverts but for the last 256 blocks.
    function arbBlockHash(uint256 arbBlockNum) external view returns (bytes32);
}

/// @title Anchors
/// @notice Values of the network's own blocks that depend on the source that a deployment has chosen.
library Anchors {
    /// @dev Hashes of older blocks are not to be had.
    uint256 private constant KNOWN_BLOCKS = 256;
    /// @dev `prevrandao` is known to a block's proposers before the block: so many of them would have to conspire.
    uint256 private constant RANDAO_LAG = 8;
    IArbSys private constant ARB_SYS = IArbSys(address(0x64));

    /// @notice Number of the block whose value nobody knows yet.
    function next(AnchorSource source) internal view returns (uint64) {
        return uint64(_number(source) + (source == AnchorSource.PrevRandao ? RANDAO_LAG : 1));
    }

    /// @notice The value of block `anchorBlock`, or of the newest block 256 k later whose hash is known; 0 before it.
    /// `prevrandao` is that of the current block.
    function valueOf(AnchorSource source, uint256 anchorBlock) internal view returns (bytes32) {
        uint256 number = _number(source);
        if (source == AnchorSource.PrevRandao) {
            return number < anchorBlock ? bytes32(0) : bytes32(block.prevrandao);
        }
        if (number <= anchorBlock) return bytes32(0);
        // slither-disable-next-line divide-before-multiply: the last multiple of the distance is what is wanted
        return _hashOf(source, anchorBlock + (number - anchorBlock - 1) / KNOWN_BLOCKS * KNOWN_BLOCKS);
    }

    /// @notice The newest value there is; whoever sends a transaction may know it.
    function latest(AnchorSource source) internal view returns (bytes32) {
        if (source == AnchorSource.PrevRandao) return bytes32(block.prevrandao);
        return _hashOf(source, _number(source) - 1);
    }

    /// @notice Number of the current block, as nodes of the network count.
    function current(AnchorSource source) internal view returns (uint64) {
        return uint64(_number(source));
    }

    function _number(AnchorSource source) private view returns (uint256) {
        return source == AnchorSource.ArbSys ? ARB_SYS.arbBlockNumber() : block.number;
    }

    function _hashOf(AnchorSource source, uint256 number) private view returns (bytes32) {
        return source == AnchorSource.ArbSys ? ARB_SYS.arbBlockHash(number) : blockhash(number);
    }
}
