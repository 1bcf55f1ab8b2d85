// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title LogMill
/// @notice Emits whatever logs it is told to: put in the place of a contract, it makes many rounds' events at once.
contract LogMill {
    struct Entry {
        address place;
        bytes32[] topics;
        bytes data;
    }

    /// @notice Has each mill emit its log, in this order.
    function run(Entry[] calldata entries) external {
        for (uint256 i = 0; i < entries.length; i++) {
            LogMill(entries[i].place).emitOne(entries[i].topics, entries[i].data);
        }
    }

    function emitOne(bytes32[] calldata topics, bytes memory data) external {
        bytes32 first = topics[0];
        bytes32 second = topics.length > 1 ? topics[1] : bytes32(0);
        bytes32 third = topics.length > 2 ? topics[2] : bytes32(0);
        bytes32 fourth = topics.length > 3 ? topics[3] : bytes32(0);
        uint256 count = topics.length;
        assembly ("memory-safe") {
            let start := add(data, 32)
            let size := mload(data)
            switch count
            case 1 { log1(start, size, first) }
            case 2 { log2(start, size, first, second) }
            case 3 { log3(start, size, first, second, third) }
            default { log4(start, size, first, second, third, fourth) }
        }
    }
}
