// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRewardReservoir} from "../interfaces/IRewardReservoir.sol";

/// @title GreedyPayee
/// @notice Tries to withdraw again while it is being paid. For tests only; no deployment has it.
contract GreedyPayee {
    IRewardReservoir public immutable RESERVOIR;
    bool public isGreedy = true;

    constructor(IRewardReservoir reservoir) {
        RESERVOIR = reservoir;
    }

    receive() external payable {
        if (isGreedy) RESERVOIR.withdraw(payable(address(this)));
    }

    function behave() external {
        isGreedy = false;
    }

    function collect() external {
        RESERVOIR.withdraw(payable(address(this)));
    }
}
