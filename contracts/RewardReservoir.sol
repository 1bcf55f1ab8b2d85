// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";

/// @title RewardReservoir
/// @notice See the documentation in {IRewardReservoir}.
// slither-disable-next-line unimplemented-functions: public variables implement them
contract RewardReservoir is IRewardReservoir, ReentrancyGuard {
    /// @inheritdoc IRewardReservoir
    mapping(address operator => address keeper) public override keeperOf;
    /// @inheritdoc IRewardReservoir
    mapping(address keeper => mapping(Pot pot => mapping(bytes32 account => uint256 amountWei)))
        public
        override balanceOf;
    /// @inheritdoc IRewardReservoir
    mapping(address payee => uint256 amountWei) public override creditOf;
    /// @inheritdoc IRewardReservoir
    mapping(Pot pot => uint256 amountWei) public override total;
    /// @inheritdoc IRewardReservoir
    uint256 public override totalCredits;

    /// @param operators the contracts that move money here; fixed for ever
    /// @param keepers of each, whose accounts it uses: itself, or another whose accounts it shares
    constructor(address[] memory operators, address[] memory keepers) {
        if (operators.length != keepers.length) revert LengthMismatch(operators.length, keepers.length);
        for (uint256 i = 0; i < operators.length; i++) {
            if (operators[i] == address(0) || keepers[i] == address(0)) revert ZeroAddress();
            keeperOf[operators[i]] = keepers[i];
        }
    }

    /// @inheritdoc IRewardReservoir
    function deposit(Pot pot, bytes32 account) external payable override {
        address keeper = _keeper(msg.sender);

        // Effect: account for the value received.
        balanceOf[keeper][pot][account] += msg.value;
        total[pot] += msg.value;

        emit Deposited(keeper, pot, account, msg.value);
    }

    /// @inheritdoc IRewardReservoir
    function move(
        Pot pot,
        bytes32 account,
        address toOperator,
        Pot toPot,
        bytes32 toAccount,
        uint256 amountWei
    ) external override {
        // Check: the money stays with somebody who can move it on.
        address keeper = _keeper(msg.sender);
        address toKeeper = _keeper(toOperator);

        // Effect: take, then give, so that an account moved onto itself is unchanged.
        _take(keeper, pot, account, amountWei);
        balanceOf[toKeeper][toPot][toAccount] += amountWei;
        total[toPot] += amountWei;

        emit Moved(keeper, pot, account, toKeeper, toPot, toAccount, amountWei);
    }

    /// @inheritdoc IRewardReservoir
    // slither-disable-next-line events-maths: `Credited` says it
    function credit(Pot pot, bytes32 account, address payee, uint256 amountWei) external override {
        address keeper = _keeper(msg.sender);
        _owe(keeper, pot, account, payee, amountWei);
        _take(keeper, pot, account, amountWei);
        totalCredits += amountWei;
    }

    /// @inheritdoc IRewardReservoir
    function creditMany(Pot pot, bytes32 account, address[] calldata payees, uint256[] calldata amountsWei)
        external
        override
    {
        // Check: every payee has its amount.
        address keeper = _keeper(msg.sender);
        if (payees.length != amountsWei.length) revert LengthMismatch(payees.length, amountsWei.length);

        // Effect: credit each, out of one debit.
        uint256 sumWei;
        for (uint256 i = 0; i < payees.length; i++) {
            if (amountsWei[i] == 0) continue;
            sumWei += amountsWei[i];
            _owe(keeper, pot, account, payees[i], amountsWei[i]);
        }
        _take(keeper, pot, account, sumWei);
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
    function _owe(address keeper, Pot pot, bytes32 account, address payee, uint256 amountWei) private {
        // Check: nobody could withdraw the zero address's credit.
        if (payee == address(0)) revert ZeroAddress();

        // Effect: the payee's credit.
        creditOf[payee] += amountWei;
        emit Credited(keeper, pot, account, payee, amountWei);
    }

    function _take(address keeper, Pot pot, bytes32 account, uint256 amountWei) private {
        // Check: nobody spends more than the account holds.
        uint256 balanceWei = balanceOf[keeper][pot][account];
        if (balanceWei < amountWei) revert InsufficientFunds(keeper, pot, account, balanceWei, amountWei);

        // Effect: debit the account.
        balanceOf[keeper][pot][account] = balanceWei - amountWei;
        total[pot] -= amountWei;
    }

    function _keeper(address operator) private view returns (address keeper) {
        keeper = keeperOf[operator];
        if (keeper == address(0)) revert NotOperator(operator);
    }
}
