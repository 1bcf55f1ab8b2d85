// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";

/// @title RewardReservoir
/// @notice See the documentation in {IRewardReservoir}.
// slither-disable-next-line unimplemented-functions: public variables implement them
contract RewardReservoir is IRewardReservoir, ReentrancyGuard {
    /// @inheritdoc IRewardReservoir
    mapping(address operator => bool isAllowed) public override isOperator;
    /// @inheritdoc IRewardReservoir
    mapping(address operator => mapping(Pot pot => mapping(bytes32 account => uint256 amountWei)))
        public
        override balanceOf;
    /// @inheritdoc IRewardReservoir
    mapping(address payee => uint256 amountWei) public override creditOf;
    /// @inheritdoc IRewardReservoir
    mapping(Pot pot => uint256 amountWei) public override total;
    /// @inheritdoc IRewardReservoir
    uint256 public override totalCredits;

    modifier onlyOperator() {
        _checkOperator(msg.sender);
        _;
    }

    /// @param operators the contracts that keep accounts here; fixed for ever
    constructor(address[] memory operators) {
        for (uint256 i = 0; i < operators.length; i++) {
            if (operators[i] == address(0)) revert ZeroAddress();
            isOperator[operators[i]] = true;
        }
    }

    /// @inheritdoc IRewardReservoir
    function deposit(Pot pot, bytes32 account) external payable override onlyOperator {
        // Effect: account for the value received.
        balanceOf[msg.sender][pot][account] += msg.value;
        total[pot] += msg.value;

        emit Deposited(msg.sender, pot, account, msg.value);
    }

    /// @inheritdoc IRewardReservoir
    function move(
        Pot pot,
        bytes32 account,
        address toOperator,
        Pot toPot,
        bytes32 toAccount,
        uint256 amountWei
    ) external override onlyOperator {
        // Check: the money stays with somebody who can move it on.
        _checkOperator(toOperator);

        // Effect: take, then give, so that an account moved onto itself is unchanged.
        _take(pot, account, amountWei);
        balanceOf[toOperator][toPot][toAccount] += amountWei;
        total[toPot] += amountWei;

        emit Moved(msg.sender, pot, account, toOperator, toPot, toAccount, amountWei);
    }

    /// @inheritdoc IRewardReservoir
    // slither-disable-next-line events-maths: `Credited` says it
    function credit(Pot pot, bytes32 account, address payee, uint256 amountWei)
        external
        override
        onlyOperator
    {
        _owe(pot, account, payee, amountWei);
        _take(pot, account, amountWei);
        totalCredits += amountWei;
    }

    /// @inheritdoc IRewardReservoir
    function creditMany(Pot pot, bytes32 account, address[] calldata payees, uint256[] calldata amountsWei)
        external
        override
        onlyOperator
    {
        // Check: every payee has its amount.
        if (payees.length != amountsWei.length) revert LengthMismatch(payees.length, amountsWei.length);

        // Effect: credit each, out of one debit.
        uint256 sumWei;
        for (uint256 i = 0; i < payees.length; i++) {
            if (amountsWei[i] == 0) continue;
            sumWei += amountsWei[i];
            _owe(pot, account, payees[i], amountsWei[i]);
        }
        _take(pot, account, sumWei);
        totalCredits += sumWei;
    }

    /// @inheritdoc IRewardReservoir
    // slither-disable-next-line low-level-calls: the way to send ether to any account
    function withdraw(address payable to) external override nonReentrant returns (uint256 amountWei) {
        // Check: there is somewhere to send it, and something to send.
        if (to == address(0)) revert ZeroAddress();
        amountWei = creditOf[msg.sender];
        if (amountWei == 0) revert NothingToWithdraw(msg.sender);

        // Effect: the credit is gone before the ether leaves.
        creditOf[msg.sender] = 0;
        totalCredits -= amountWei;

        emit Withdrawn(msg.sender, to, amountWei);

        // Interaction: pay; a receiver that refuses keeps the credit.
        (bool wasSent,) = to.call{value: amountWei}("");
        if (!wasSent) revert WithdrawalFailed(to, amountWei);
    }

    /// @dev One payee's part of a credit; the caller of this debits the account.
    function _owe(Pot pot, bytes32 account, address payee, uint256 amountWei) private {
        // Check: nobody could withdraw the zero address's credit.
        if (payee == address(0)) revert ZeroAddress();

        // Effect: the payee's credit.
        creditOf[payee] += amountWei;
        emit Credited(msg.sender, pot, account, payee, amountWei);
    }

    function _take(Pot pot, bytes32 account, uint256 amountWei) private {
        // Check: an operator spends only what its own account holds.
        uint256 balanceWei = balanceOf[msg.sender][pot][account];
        if (balanceWei < amountWei) {
            revert InsufficientFunds(msg.sender, pot, account, balanceWei, amountWei);
        }

        // Effect: debit the account.
        balanceOf[msg.sender][pot][account] = balanceWei - amountWei;
        total[pot] -= amountWei;
    }

    function _checkOperator(address caller) private view {
        if (!isOperator[caller]) revert NotOperator(caller);
    }
}
