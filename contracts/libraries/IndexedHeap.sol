// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IndexedHeap
/// @notice Binary max-heap of ids ordered by value that can also remove any id; O(log n) each, ties: the smaller id.
/// @dev A heap without positions would have to skip removed ids when popping, so cancelled tasks could make one pop
/// cost more gas than a block holds.
library IndexedHeap {
    /// @param nodes value in the upper 192 bits, complement of the id in the lower 64: the larger number goes first
    /// @param slots index of an id's node plus one; 0 if it is not in the heap
    struct Heap {
        uint256[] nodes;
        mapping(uint64 id => uint256 slot) slots;
    }

    error AlreadyInHeap(uint64 id);
    error NotInHeap(uint64 id);
    error EmptyHeap();

    function insert(Heap storage self, uint64 id, uint192 value) internal {
        if (self.slots[id] != 0) revert AlreadyInHeap(id);
        uint256 index = self.nodes.length;
        self.nodes.push(0);
        _siftUp(self, index, _node(id, value));
    }

    function remove(Heap storage self, uint64 id) internal {
        uint256 slot = self.slots[id];
        if (slot == 0) revert NotInHeap(id);
        _removeAt(self, slot - 1, id);
    }

    function pop(Heap storage self) internal returns (uint64 id) {
        id = peek(self);
        _removeAt(self, 0, id);
    }

    /// @notice The id with the highest value.
    function peek(Heap storage self) internal view returns (uint64) {
        if (self.nodes.length == 0) revert EmptyHeap();
        return _idOf(self.nodes[0]);
    }

    function length(Heap storage self) internal view returns (uint256) {
        return self.nodes.length;
    }

    function contains(Heap storage self, uint64 id) internal view returns (bool) {
        return self.slots[id] != 0;
    }

    /// @dev The last node fills the gap; it may belong above it or below it.
    function _removeAt(Heap storage self, uint256 index, uint64 id) private {
        uint256 last = self.nodes.length - 1;
        uint256 node = self.nodes[last];
        self.nodes.pop();
        delete self.slots[id];
        if (index == last) return;
        if (index > 0 && self.nodes[(index - 1) / 2] < node) {
            _siftUp(self, index, node);
        } else {
            _siftDown(self, index, node);
        }
    }

    function _siftUp(Heap storage self, uint256 index, uint256 node) private {
        while (index > 0) {
            uint256 parent = (index - 1) / 2;
            uint256 parentNode = self.nodes[parent];
            if (parentNode > node) break;
            _place(self, index, parentNode);
            index = parent;
        }
        _place(self, index, node);
    }

    function _siftDown(Heap storage self, uint256 index, uint256 node) private {
        uint256 size = self.nodes.length;
        while (true) {
            uint256 child = 2 * index + 1;
            if (child >= size) break;
            uint256 childNode = self.nodes[child];
            if (child + 1 < size && self.nodes[child + 1] > childNode) childNode = self.nodes[++child];
            if (childNode < node) break;
            _place(self, index, childNode);
            index = child;
        }
        _place(self, index, node);
    }

    function _place(Heap storage self, uint256 index, uint256 node) private {
        self.nodes[index] = node;
        self.slots[_idOf(node)] = index + 1;
    }

    function _node(uint64 id, uint192 value) private pure returns (uint256) {
        return (uint256(value) << 64) | (type(uint64).max - id);
    }

    function _idOf(uint256 node) private pure returns (uint64) {
        // The cast keeps the lower 64 bits, which hold the complement of the id.
        return type(uint64).max - uint64(node);
    }
}
