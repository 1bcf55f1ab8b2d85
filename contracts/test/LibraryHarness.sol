// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid, Cids} from "../libraries/Cids.sol";
import {Header, Headers} from "../libraries/Headers.sol";
import {IndexedHeap} from "../libraries/IndexedHeap.sol";
import {OmmerFormula, OmmerRewards} from "../libraries/OmmerRewards.sol";

/// @title LibraryHarness
/// @notice Makes the libraries' internal functions callable. For tests only; no deployment has it.
contract LibraryHarness {
    using IndexedHeap for IndexedHeap.Heap;

    IndexedHeap.Heap private _heap;

    function checkCid(Cid calldata cid) external pure {
        Cids.check(cid);
    }

    function hashCid(Cid calldata cid) external pure returns (bytes32) {
        return Cids.hash(cid);
    }

    function hashHeader(Header calldata header) external pure returns (bytes32) {
        return Headers.hash(header);
    }

    function roundHash(bytes32 headerHash, bytes32 anchorHash) external pure returns (bytes32) {
        return Headers.roundHash(headerHash, anchorHash);
    }

    function leaf(uint256 index, bytes32 value) external pure returns (bytes32) {
        return Headers.leaf(index, value);
    }

    function bodyRoot(bytes32[] calldata values) external pure returns (bytes32) {
        return Headers.bodyRoot(values);
    }

    function isIncluded(bytes32 root, uint256 index, bytes32 value, bytes32[] calldata proof)
        external
        pure
        returns (bool)
    {
        return Headers.isIncluded(root, index, value, proof);
    }

    function ommerReward(
        OmmerFormula formula,
        uint256 winnerReward,
        uint256 winnerHeight,
        uint256 ommerHeight,
        uint256 ommerCount
    ) external pure returns (uint256) {
        return OmmerRewards.rewardDown(formula, winnerReward, winnerHeight, ommerHeight, ommerCount);
    }

    function insert(uint64 id, uint192 value) external {
        _heap.insert(id, value);
    }

    function remove(uint64 id) external {
        _heap.remove(id);
    }

    function pop() external returns (uint64 id) {
        return _heap.pop();
    }

    function peek() external view returns (uint64 id) {
        return _heap.peek();
    }

    function length() external view returns (uint256) {
        return _heap.length();
    }

    function contains(uint64 id) external view returns (bool) {
        return _heap.contains(id);
    }
}
