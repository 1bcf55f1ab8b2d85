// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "./interfaces/IGradientChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";

/// @title GradientMiners
/// @notice Who may propose, and the bonds behind it. See {IGradientChain}.
/// @dev A bond lies in the reservoir's Bond account of its miner's address.
abstract contract GradientMiners is IGradientChain {
    /// @custom:security non-reentrant
    IRewardReservoir public immutable RESERVOIR;
    uint128 internal immutable MINER_BOND_WEI;
    uint32 internal immutable EXIT_DELAY_S;
    mapping(address account => Miner) internal _miners;

    /// @param reservoir must already list this contract as an operator
    constructor(IRewardReservoir reservoir, uint128 minerBondWei, uint32 exitDelayS) {
        if (reservoir.keeperOf(address(this)) == address(0)) {
            revert IRewardReservoir.NotOperator(address(this));
        }
        if (minerBondWei == 0) revert InvalidParameter("minerBondWei", 0);
        RESERVOIR = reservoir;
        MINER_BOND_WEI = minerBondWei;
        EXIT_DELAY_S = exitDelayS;
    }

    /// @inheritdoc IGradientChain
    function enrol() external payable override {
        // Check: at least the least bond, once.
        Miner storage enrolled = _miners[msg.sender];
        if (enrolled.exitAt != 0) revert StillLeaving(msg.sender, enrolled.exitAt);
        if (enrolled.bondWei != 0) revert AlreadyEnrolled(msg.sender);
        if (msg.value < MINER_BOND_WEI) revert WrongBond(msg.value, MINER_BOND_WEI);

        // Effect: it counts from the next header on. All ether there is fits the cast.
        enrolled.bondWei = uint128(msg.value);
        enrolled.enrolledAtBlock = uint64(block.number);
        emit MinerEnrolled(msg.sender, msg.value);

        // Interaction: the reservoir holds the bond.
        RESERVOIR.deposit{value: msg.value}(IRewardReservoir.Pot.Bond, _bondAccount(msg.sender));
    }

    /// @inheritdoc IGradientChain
    function requestExit() external override {
        Miner storage leaver = _miners[msg.sender];
        _checkEnrolled(leaver);
        leaver.exitAt = uint40(block.timestamp) + EXIT_DELAY_S;
        emit MinerLeaving(msg.sender, leaver.exitAt);
    }

    /// @inheritdoc IGradientChain
    function completeExit() external override {
        // Check: the delay is over, and no proposal can cost the bond any more.
        Miner storage leaver = _miners[msg.sender];
        uint40 exitAt = leaver.exitAt;
        if (exitAt == 0) revert NotLeaving(msg.sender);
        if (block.timestamp < exitAt) revert StillLeaving(msg.sender, exitAt);
        if (leaver.hasProposal) revert ProposalPending(msg.sender, height() + 1);

        // Effect: as if it had never enrolled.
        uint256 bondWei = leaver.bondWei;
        delete _miners[msg.sender];
        emit MinerLeft(msg.sender, bondWei);

        // Interaction: credit the bond.
        RESERVOIR.credit(IRewardReservoir.Pot.Bond, _bondAccount(msg.sender), msg.sender, bondWei);
    }

    /// @inheritdoc IGradientChain
    function minerOf(address account) external view override returns (Miner memory) {
        return _miners[account];
    }

    /// @inheritdoc IGradientChain
    function height() public view virtual override returns (uint64);

    /// @dev Takes the whole bond and the enrolment, of a leaving miner as well.
    /// @param toAccount where the bond goes, in this contract's escrow
    function _slash(address account, bytes32 toAccount) internal returns (uint256 bondWei) {
        bondWei = _miners[account].bondWei;
        delete _miners[account];
        emit MinerSlashed(account, height() + 1, bondWei);
        _moveToEscrow(IRewardReservoir.Pot.Bond, _bondAccount(account), address(this), toAccount, bondWei);
    }

    /// @param toOperator whose escrow it becomes
    // slither-disable-next-line calls-loop: at most one per proposal, to our own reservoir
    function _moveToEscrow(
        IRewardReservoir.Pot pot,
        bytes32 account,
        address toOperator,
        bytes32 toAccount,
        uint256 amountWei
    ) internal {
        RESERVOIR.move(pot, account, toOperator, IRewardReservoir.Pot.Escrow, toAccount, amountWei);
    }

    function _checkEnrolled(Miner storage checked) internal view {
        if (checked.bondWei == 0) revert NotEnrolled(msg.sender);
        if (checked.exitAt != 0) revert StillLeaving(msg.sender, checked.exitAt);
    }

    function _bondAccount(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}
