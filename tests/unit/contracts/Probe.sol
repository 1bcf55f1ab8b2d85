// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Probe
/// @notice Something small to send transactions to: it counts, it can be closed, it refuses with values.
contract Probe {
    uint256 public count;
    bool public isClosed;

    event Counted(address indexed caller, uint256 count, uint256 amountWei);
    event Switched(bool isClosed);

    error Closed(address caller, uint256 count);
    error Forbidden();

    function add(uint256 amount) external payable returns (uint256) {
        if (isClosed) revert Closed(msg.sender, count);
        count += amount;
        emit Counted(msg.sender, count, msg.value);
        return count;
    }

    function setClosed(bool to) external {
        isClosed = to;
        emit Switched(to);
    }

    function refuse() external pure {
        revert Forbidden();
    }

    function refuseWithText() external pure {
        revert("not today");
    }

    function panic(uint256 divisor) external pure returns (uint256) {
        return 1 / divisor;
    }
}
