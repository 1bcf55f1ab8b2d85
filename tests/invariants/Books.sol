// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {Vm} from "./Vm.sol";

/// @notice The reservoir's accounts, kept a second time from nothing but its events.
abstract contract Books {
    struct Account {
        address keeper;
        IRewardReservoir.Pot pot;
        bytes32 account;
        uint256 amountWei;
    }

    /// @notice Accounts that hold money now; `_slots` has their position plus one.
    Account[] private _accounts;
    mapping(bytes32 key => uint256 slot) private _slots;
    mapping(address keeper => mapping(IRewardReservoir.Pot pot => uint256 amountWei)) public heldWei;
    mapping(IRewardReservoir.Pot pot => uint256 amountWei) public potWei;
    address[] private _payees;
    mapping(address payee => bool) private _isPayee;
    mapping(address payee => uint256 amountWei) public owedWei;
    uint256 public totalOwedWei;

    function openAccounts() external view returns (Account[] memory) {
        return _accounts;
    }

    function payees() public view returns (address[] memory) {
        return _payees;
    }

    function _book(Vm.Log memory log) internal {
        bytes32 kind = log.topics[0];
        if (kind == IRewardReservoir.Deposited.selector) {
            _give(
                _addressOf(log.topics[1]),
                _potOf(log.topics[2]),
                log.topics[3],
                abi.decode(log.data, (uint256))
            );
        } else if (kind == IRewardReservoir.Moved.selector) {
            _bookMove(log);
        } else if (kind == IRewardReservoir.Credited.selector) {
            (IRewardReservoir.Pot pot, uint256 amountWei) =
                abi.decode(log.data, (IRewardReservoir.Pot, uint256));
            _take(_addressOf(log.topics[1]), pot, log.topics[2], amountWei);
            _owe(_addressOf(log.topics[3]), amountWei);
        } else if (kind == IRewardReservoir.Withdrawn.selector) {
            uint256 amountWei = abi.decode(log.data, (uint256));
            owedWei[_addressOf(log.topics[1])] -= amountWei;
            totalOwedWei -= amountWei;
        }
    }

    function _bookMove(Vm.Log memory log) private {
        (IRewardReservoir.Pot pot, IRewardReservoir.Pot toPot, bytes32 toAccount, uint256 amountWei) =
            abi.decode(log.data, (IRewardReservoir.Pot, IRewardReservoir.Pot, bytes32, uint256));
        _take(_addressOf(log.topics[1]), pot, log.topics[2], amountWei);
        _give(_addressOf(log.topics[3]), toPot, toAccount, amountWei);
    }

    function _give(address keeper, IRewardReservoir.Pot pot, bytes32 account, uint256 amountWei) private {
        bytes32 key = keccak256(abi.encode(keeper, pot, account));
        if (_slots[key] == 0 && amountWei > 0) {
            _accounts.push(Account(keeper, pot, account, 0));
            _slots[key] = _accounts.length;
        }
        if (amountWei > 0) _accounts[_slots[key] - 1].amountWei += amountWei;
        heldWei[keeper][pot] += amountWei;
        potWei[pot] += amountWei;
    }

    function _take(address keeper, IRewardReservoir.Pot pot, bytes32 account, uint256 amountWei) private {
        if (amountWei == 0) return;
        bytes32 key = keccak256(abi.encode(keeper, pot, account));
        uint256 slot = _slots[key];
        Account storage taken = _accounts[slot - 1];
        taken.amountWei -= amountWei;
        heldWei[keeper][pot] -= amountWei;
        potWei[pot] -= amountWei;
        if (taken.amountWei == 0) _close(key, slot);
    }

    function _close(bytes32 key, uint256 slot) private {
        Account memory last = _accounts[_accounts.length - 1];
        _accounts[slot - 1] = last;
        _slots[keccak256(abi.encode(last.keeper, last.pot, last.account))] = slot;
        _accounts.pop();
        delete _slots[key];
    }

    function _owe(address payee, uint256 amountWei) private {
        if (!_isPayee[payee]) {
            _isPayee[payee] = true;
            _payees.push(payee);
        }
        owedWei[payee] += amountWei;
        totalOwedWei += amountWei;
    }

    function _addressOf(bytes32 topic) internal pure returns (address) {
        return address(uint160(uint256(topic)));
    }

    function _potOf(bytes32 topic) private pure returns (IRewardReservoir.Pot) {
        return IRewardReservoir.Pot(uint8(uint256(topic)));
    }
}
