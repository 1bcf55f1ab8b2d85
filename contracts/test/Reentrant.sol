// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @title Reentrant
/// @notice Takes part in rounds under its own address, and makes planned calls whenever it is paid. For attacks and
/// tests only; no deployment has it.
contract Reentrant {
    struct Planned {
        address target;
        bytes data;
    }

    uint256 private constant MAX_DEPTH = 2;

    /// @notice Planned calls that were accepted while it was being paid.
    uint256 public accepted;
    /// @notice Planned calls that were refused while it was being paid.
    uint256 public refused;
    uint256 private _depth;
    Planned[] private _plan;

    receive() external payable {
        if (_depth < MAX_DEPTH) _callBack();
    }

    function plan(address target, bytes calldata data) external {
        _plan.push(Planned(target, data));
    }

    function act(address target, bytes calldata data, uint256 valueWei) external payable {
        Address.functionCallWithValue(target, data, valueWei);
    }

    function _callBack() private {
        _depth++;
        for (uint256 i = 0; i < _plan.length; i++) {
            try this.act(_plan[i].target, _plan[i].data, 0) {
                accepted++;
            } catch {
                refused++;
            }
        }
        _depth--;
    }
}
