// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {RoundLedger} from "./RoundLedger.sol";

/// @title RoundTreasury
/// @notice Where a round's money goes. Every way to end a round empties both of its accounts.
/// @dev Accounts of a round in the reservoir: Escrow `taskId` (reward and fee) and Bond `taskId` (the client's and all
/// miners'; one account, so that no commit pays for a fresh one). Idle rounds use account 0; a lane's rounds never
/// overlap.
abstract contract RoundTreasury is RoundLedger {
    IRewardReservoir public immutable RESERVOIR;
    ITaskMarket public immutable MARKET;
    IVerifierCommittee public immutable COMMITTEE;
    uint256 internal constant PPM = 1_000_000;
    uint128 internal immutable MINER_BOND_WEI;
    uint128 internal immutable JUDGING_FEE_WEI;
    uint32 internal immutable JUDGING_FEE_PPM;
    uint32 internal immutable OCCUPANCY_PPM;
    uint32 private immutable ROUND_WINDOWS_S;

    /// @param reservoir must already list this contract as an operator
    constructor(
        IRewardReservoir reservoir,
        ITaskMarket market,
        IVerifierCommittee committee,
        ChainParameters memory given
    ) {
        if (!reservoir.isOperator(address(this))) {
            revert IRewardReservoir.NotOperator(address(this));
        }
        if (address(market) == address(0) || address(committee) == address(0)) {
            revert IRewardReservoir.ZeroAddress();
        }
        if (given.minerBondWei == 0) revert InvalidParameter("minerBondWei", 0);
        if (given.judgingFeePpm * uint256(MAX_SUBMISSIONS) <= PPM) {
            revert InvalidParameter("judgingFeePpm", given.judgingFeePpm);
        }
        if (given.occupancyPpm > PPM) revert InvalidParameter("occupancyPpm", given.occupancyPpm);
        RESERVOIR = reservoir;
        MARKET = market;
        COMMITTEE = committee;
        MINER_BOND_WEI = given.minerBondWei;
        JUDGING_FEE_WEI = given.judgingFeeWei;
        JUDGING_FEE_PPM = given.judgingFeePpm;
        OCCUPANCY_PPM = given.occupancyPpm;
        ROUND_WINDOWS_S = market.parameters().roundWindowsS;
    }

    /// @inheritdoc ILearningChain
    function judgingFeeOf(uint64 roundId) external view override returns (uint256 amountWei) {
        return _judgingFeeWei(_states[roundId]);
    }

    /// @dev The client's bond goes to those who were seated when the round opened and lost its fee.
    function _forfeitClientBond(uint64 roundId, RoundState storage state) internal {
        bytes32 account = _account(state.round.taskId);
        uint256 amountWei = _held(IRewardReservoir.Pot.Bond, account);
        if (amountWei == 0) return;
        emit BondForfeited(roundId, state.terms.client, amountWei);
        _distribute(roundId, state, IRewardReservoir.Pot.Bond, amountWei);
    }

    /// @dev Occupying the chain without a block costs the client a share of the reward by the time it took.
    // slither-disable-next-line incorrect-equality: ids and amounts of which only zero counts
    function _payOccupancy(uint64 roundId, RoundState storage state) internal {
        uint64 taskId = state.round.taskId;
        if (taskId == 0) return;
        uint256 wholeS = uint256(state.terms.timeLimitS) + ROUND_WINDOWS_S;
        uint256 occupiedS = block.timestamp - state.round.openedAt;
        if (occupiedS > wholeS) occupiedS = wholeS;
        // 128, 20 and 33 bits: no product overflows.
        uint256 amountWei = uint256(_task(taskId).rewardWei) * OCCUPANCY_PPM * occupiedS / (PPM * wholeS);
        if (amountWei == 0) return;
        emit OccupancyPaid(roundId, state.terms.client, amountWei);
        _distribute(roundId, state, IRewardReservoir.Pot.Escrow, amountWei);
    }

    /// @dev Shares an amount out to those who were seated when the round opened; if nobody was, nobody waited for the
    /// client, which gets it back.
    function _distribute(
        uint64 roundId,
        RoundState storage state,
        IRewardReservoir.Pot pot,
        uint256 amountWei
    ) private {
        // Ballots use small numbers as accounts; a hash cannot meet one.
        bytes32 committeeAccount = keccak256(abi.encode("pole.no-block.v1", address(this), roundId));
        _moveToCommittee(pot, _account(state.round.taskId), committeeAccount, amountWei);
        COMMITTEE.distribute(committeeAccount, state.round.openedAt, state.terms.client);
    }

    /// @dev Opens a ballot for those who were seated when commits closed; they can earn these bonds and all escrow but
    /// the reward: the fee, and what a ballot before this one gave back.
    function _openBallot(Round storage voted, uint256 entryCount, uint256 forfeitedWei) internal {
        bytes32 account = _account(voted.taskId);
        voted.ballotId = COMMITTEE.openBallot(uint16(entryCount), account, voted.commitsClosedAt);
        bytes32 ballotAccount = _account(voted.ballotId);
        uint256 feeWei = _held(IRewardReservoir.Pot.Escrow, account) - _task(voted.taskId).rewardWei;
        _moveToCommittee(IRewardReservoir.Pot.Escrow, account, ballotAccount, feeWei);
        _moveToCommittee(IRewardReservoir.Pot.Bond, account, ballotAccount, forfeitedWei);
    }

    /// @dev Ends the task with its escrow in equal shares for the miners in the set; the dust goes to the first.
    // slither-disable-next-line calls-loop: at most one per submission, to our own reservoir
    function _closeForMiners(RoundState storage state, uint256 set) internal {
        uint64 taskId = state.round.taskId;
        bytes32 account = _account(taskId);
        uint256 shareWei = _held(IRewardReservoir.Pot.Escrow, account) / _size(set);
        address first;
        for (uint256 i = 0; set != 0; i++) {
            if (_has(set, 0)) {
                if (first == address(0)) first = state.miners[i];
                else _credit(IRewardReservoir.Pot.Escrow, account, state.miners[i], shareWei);
            }
            set >>= 1;
        }
        _closeTask(taskId, ITaskMarket.TaskState.Refunded, first);
    }

    /// @dev All escrow left goes to `payee`, the task ends, if there is one, and the lane is free.
    function _closeTask(uint64 taskId, ITaskMarket.TaskState outcome, address payee) internal {
        _creditRest(IRewardReservoir.Pot.Escrow, _account(taskId), payee);
        MARKET.close(taskId, outcome);
    }

    /// @dev Returns the bonds of the submissions in the set. A client that withheld the test set loses its bond in equal
    /// shares to them; if there are none, to all who revealed; if nobody did, to all who committed. All else, and the
    /// rounding dust, goes to the client. Without submissions, the client gets its bond back.
    /// @param feeWei the judging fee that each of them gets back with its bond
    function _settleBonds(uint64 roundId, RoundState storage state, uint256 returned, uint256 feeWei)
        internal
    {
        uint256 revealed = _revealedSet(state);
        uint256 all = (1 << state.round.submissionCount) - 1;
        uint256 sharers = returned != 0 ? returned : revealed != 0 ? revealed : all;
        uint256 shareWei = all == 0 ? 0 : _clientBondLost(roundId, state) / _size(sharers);
        address[] memory payees = new address[](state.round.submissionCount);
        uint256[] memory amountsWei = new uint256[](payees.length);
        for (uint256 i = 0; i < payees.length; i++) {
            payees[i] = state.miners[i];
            uint256 bondWei = state.entries[payees[i]].bondWei;
            if (_has(sharers, i)) amountsWei[i] = shareWei;
            if (_has(returned, i)) amountsWei[i] += bondWei + feeWei;
            else if (_has(revealed, i)) emit BondForfeited(roundId, payees[i], bondWei);
        }
        bytes32 account = _account(state.round.taskId);
        RESERVOIR.creditMany(IRewardReservoir.Pot.Bond, account, payees, amountsWei);
        _creditRest(IRewardReservoir.Pot.Bond, account, state.terms.client);
    }

    /// @dev Puts the judging fees that a void ballot gave back beside the bonds that return.
    function _recoverFees(RoundState storage state) internal {
        bytes32 account = _account(state.round.taskId);
        uint256 amountWei = state.round.revealedCount * _judgingFeeWei(state);
        _move(
            IRewardReservoir.Pot.Escrow, account, address(this), IRewardReservoir.Pot.Bond, account, amountWei
        );
    }

    /// @dev Kept with the round, so that no commit has to read the task. 2^64 gwei are more than there are.
    function _judgingFeeWei(RoundState storage state) internal view returns (uint256) {
        return uint256(state.round.judgingFeeGwei) * 1 gwei;
    }

    /// @dev With a reward, all places of a round together cost more than it.
    function _judgingFeeGwei(uint256 rewardWei) internal view returns (uint64) {
        return uint64((JUDGING_FEE_WEI + rewardWei * JUDGING_FEE_PPM / PPM) / 1 gwei);
    }

    /// @dev Gives a displaced miner back what it paid.
    function _repay(RoundState storage state, uint256 index, uint256 feeWei) internal {
        address miner = state.miners[index];
        uint256 amountWei = state.entries[miner].bondWei + feeWei;
        _credit(IRewardReservoir.Pot.Bond, _account(state.round.taskId), miner, amountWei);
    }

    function _task(uint64 taskId) internal view returns (ITaskMarket.Task memory) {
        return MARKET.task(taskId);
    }

    /// @return bondWei what the client loses: nothing unless it withheld a test set, which idle rounds do not have and
    /// nobody owes before commits close
    function _clientBondLost(uint64 roundId, RoundState storage state) private returns (uint256 bondWei) {
        Round storage ended = state.round;
        if (ended.taskId == 0 || ended.isTestSetReleased || ended.commitsClosedAt == 0) return 0;
        bondWei = _task(state.round.taskId).bondWei;
        if (bondWei != 0) emit BondForfeited(roundId, state.terms.client, bondWei);
    }

    /// @dev The committee keeps all that it may share in its escrow.
    function _moveToCommittee(
        IRewardReservoir.Pot pot,
        bytes32 account,
        bytes32 committeeAccount,
        uint256 amountWei
    ) private {
        _move(pot, account, address(COMMITTEE), IRewardReservoir.Pot.Escrow, committeeAccount, amountWei);
    }

    function _move(
        IRewardReservoir.Pot pot,
        bytes32 account,
        address toOperator,
        IRewardReservoir.Pot toPot,
        bytes32 toAccount,
        uint256 amountWei
    ) private {
        if (amountWei != 0) {
            RESERVOIR.move(pot, account, toOperator, toPot, toAccount, amountWei);
        }
    }

    function _creditRest(IRewardReservoir.Pot pot, bytes32 account, address payee) private {
        _credit(pot, account, payee, _held(pot, account));
    }

    function _credit(IRewardReservoir.Pot pot, bytes32 account, address payee, uint256 amountWei) private {
        if (amountWei != 0) RESERVOIR.credit(pot, account, payee, amountWei);
    }

    function _held(IRewardReservoir.Pot pot, bytes32 account) private view returns (uint256 amountWei) {
        return RESERVOIR.balanceOf(address(this), pot, account);
    }

    function _account(uint64 id) internal pure returns (bytes32) {
        return bytes32(uint256(id));
    }
}
