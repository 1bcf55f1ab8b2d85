// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IndexedHeap} from "../../contracts/libraries/IndexedHeap.sol";
import {VM} from "./Vm.sol";

/// @notice IndexedHeap against a plain list, over sequences that the fuzzer chooses.
contract IndexedHeapTest {
    using IndexedHeap for IndexedHeap.Heap;

    IndexedHeap.Heap private _heap;
    uint64[] private _ids;
    mapping(uint64 id => uint192 value) private _values;

    /// @param steps each inserts (with one of eight values, so that ties are common), removes, or pops
    function testFuzz_sequence__matches_a_plain_list(uint256[] calldata steps) external {
        for (uint64 i = 0; i < steps.length && i < 64; i++) {
            uint256 kind = steps[i] % 4;
            if (kind < 2 || _ids.length == 0) _insert(i + 1, uint192(steps[i] >> 64) % 8);
            else if (kind == 2) _remove(steps[i] >> 8);
            else _pop();
            _checkNodes();
        }
        while (_ids.length > 0) _pop();
        VM.assertEq(_heap.length(), 0, "the heap outlives its ids");
    }

    function _insert(uint64 id, uint192 value) private {
        _heap.insert(id, value);
        _ids.push(id);
        _values[id] = value;
    }

    function _remove(uint256 seed) private {
        uint64 id = _ids[seed % _ids.length];
        _heap.remove(id);
        _forget(id);
    }

    function _pop() private {
        uint64 first = _first();
        VM.assertEq(_heap.peek(), first, "peek is not the most valuable, oldest id");
        VM.assertEq(_heap.pop(), first, "pop is not the most valuable, oldest id");
        _forget(first);
    }

    function _first() private view returns (uint64 first) {
        first = _ids[0];
        for (uint256 i = 1; i < _ids.length; i++) {
            uint64 id = _ids[i];
            bool isBefore = _values[id] > _values[first] || (_values[id] == _values[first] && id < first);
            if (isBefore) first = id;
        }
    }

    function _forget(uint64 id) private {
        for (uint256 i = 0; i < _ids.length; i++) {
            if (_ids[i] != id) continue;
            _ids[i] = _ids[_ids.length - 1];
            _ids.pop();
            return;
        }
    }

    function _checkNodes() private view {
        VM.assertEq(_heap.length(), _ids.length, "the heap lost or kept an id");
        for (uint256 i = 1; i < _heap.nodes.length; i++) {
            VM.assertTrue(_heap.nodes[i] < _heap.nodes[(i - 1) / 2], "a node is above its parent");
        }
        for (uint256 i = 0; i < _ids.length; i++) {
            uint256 slot = _heap.slots[_ids[i]];
            VM.assertTrue(
                slot > 0 && uint64(_heap.nodes[slot - 1]) == type(uint64).max - _ids[i], "slot is wrong"
            );
        }
    }
}
