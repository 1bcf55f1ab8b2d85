// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Cid} from "./Cids.sol";

/// @notice A PoLe block header. `Source: PoLe, section 3.3`
/// @param ommerHash hash of the referenced ommer; zero if none
/// @param bodyRoot Merkle root over the body's values
/// @param previousHash hash of the header at the height below
/// @param roundHash PHS of the round, under which the model was trained; see `Headers.roundHash`
/// @param timestamp when commits closed
struct Header {
    uint64 height;
    uint64 taskId;
    address winner;
    bytes32 previousHash;
    Cid model;
    uint32 trainPpm;
    uint32 testPpm;
    bytes32 ommerHash;
    bytes32 bodyRoot;
    bytes32 roundHash;
    uint64 timestamp;
}

/// @title Headers
/// @notice Header hash and the Merkle tree over a block's body.
library Headers {
    bytes32 internal constant ROUND = keccak256("pole.previous-hash.v1");

    function hash(Header memory header) internal pure returns (bytes32) {
        return keccak256(abi.encode(header));
    }

    /// @notice PHS, which a round's query vectors come from.
    /// @param headerHash of the header at the height below
    /// @param anchorHash of an Ethereum block after the round's opening, so that nobody knew it when the task was bound
    function roundHash(bytes32 headerHash, bytes32 anchorHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(ROUND, headerHash, anchorHash));
    }

    /// @notice A leaf binds its position, and is hashed twice so that no inner node can pass for a leaf.
    function leaf(uint256 index, bytes32 value) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(index, value))));
    }

    /// @notice Root over all values; an odd node moves up a level unchanged, siblings are hashed in sorted order.
    function bodyRoot(bytes32[] memory values) internal pure returns (bytes32) {
        bytes32[] memory level = new bytes32[](values.length);
        for (uint256 i = 0; i < values.length; i++) {
            level[i] = leaf(i, values[i]);
        }
        uint256 width = level.length;
        while (width > 1) {
            for (uint256 i = 0; i < width; i += 2) {
                level[i / 2] = i + 1 < width ? Hashes.commutativeKeccak256(level[i], level[i + 1]) : level[i];
            }
            width = (width + 1) / 2;
        }
        return level[0];
    }

    function isIncluded(bytes32 root, uint256 index, bytes32 value, bytes32[] memory proof)
        internal
        pure
        returns (bool)
    {
        return MerkleProof.verify(proof, root, leaf(index, value));
    }
}
