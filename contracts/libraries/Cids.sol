// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice An IPFS content identifier: CIDv1 with a sha2-256 multihash.
/// @dev The codec is part of the identity: the same digest means other content under another codec.
struct Cid {
    uint8 codec;
    bytes32 digest;
}

/// @title Cids
/// @notice Checks and hashes content identifiers.
library Cids {
    uint8 internal constant RAW = 0x55;
    uint8 internal constant DAG_PB = 0x70;

    /// @notice Only raw blocks and UnixFS (dag-pb) roots are published.
    error UnsupportedCodec(uint8 codec);
    /// @notice A zero digest names nothing.
    error EmptyDigest();

    function check(Cid memory cid) internal pure {
        if (cid.codec != RAW && cid.codec != DAG_PB) revert UnsupportedCodec(cid.codec);
        if (cid.digest == bytes32(0)) revert EmptyDigest();
    }

    function hash(Cid memory cid) internal pure returns (bytes32) {
        return keccak256(abi.encode(cid.codec, cid.digest));
    }
}
