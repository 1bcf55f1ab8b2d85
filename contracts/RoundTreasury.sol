// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Ending, Payee, Settlement, Settlements} from "./libraries/Settlements.sol";
import {Entry} from "./libraries/Entries.sol";
import {RoundLedger} from "./RoundLedger.sol";

/// @title RoundTreasury
/// @notice Where a round's money goes. Every way to end a round empties both of its accounts.
/// @dev A round spends the market's accounts in the reservoir: Escrow `taskId` (reward, verifier fee and client's bond)
/// and Bond `taskId` (the miners' bonds and judging fees, once commits are closed). Idle rounds use the number that is
/// the lane's address; a lane's rounds never overlap.
abstract contract RoundTreasury is RoundLedger {
    /// @custom:security non-reentrant
    IRewardReservoir public immutable RESERVOIR;
    /// @custom:security non-reentrant
    ITaskMarket public immutable MARKET;
    /// @custom:security non-reentrant
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
        if (reservoir.keeperOf(address(this)) == address(0)) {
            revert IRewardReservoir.NotOperator(address(this));
        }
        if (address(market) == address(0) || address(committee) == address(0)) {
            revert IRewardReservoir.ZeroAddress();
        }
        if (given.minerBondWei == 0 || given.minerBondWei % 1 gwei != 0) {
            revert InvalidParameter("minerBondWei", given.minerBondWei);
        }
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

    /// @dev Pays everything that a round holds, ends its task, if there is one, and frees the lane.
    function _settle(uint64 roundId, RoundState storage state, Ending memory ending, Entry[] memory entries)
        internal
    {
        uint64 taskId = state.round.taskId;
        address client = state.terms.client;
        uint256 clientBondWei = _task(taskId).bondWei;
        ending.isWithheld = _isWithheld(state.round);
        ending.revealed = _revealedSet(entries);
        Settlement memory settled = Settlements.settle(ending);
        if (settled.clientBondTo != Payee.Client && clientBondWei != 0) {
            emit BondForfeited(roundId, client, clientBondWei);
        }
        uint256 seatedWei = settled.isOccupancyPaid ? _occupancyWei(roundId, state) : 0;
        if (settled.clientBondTo == Payee.Seated) seatedWei += clientBondWei;
        _payClientBond(state, settled, clientBondWei);
        _payBonds(roundId, state, settled, ending.revealed, entries, clientBondWei);
        _distribute(roundId, state, seatedWei);
        address payee = client;
        if (settled.rewardTo == Payee.Winner) payee = entries[ending.winner].miner;
        else if (settled.rewardTo == Payee.Unjudged) payee = _payUnjudged(taskId, ending.unjudged, entries);
        _creditRest(IRewardReservoir.Pot.Escrow, _account(taskId), payee);
        bool isSolved = settled.rewardTo == Payee.Winner;
        MARKET.close(taskId, isSolved ? ITaskMarket.TaskState.Solved : ITaskMarket.TaskState.Refunded);
    }

    /// @dev Occupying the chain without a block costs the client a share of the reward by the time it took.
    function _occupancyWei(uint64 roundId, RoundState storage state) private returns (uint256 amountWei) {
        uint256 wholeS = uint256(state.terms.timeLimitS) + ROUND_WINDOWS_S;
        uint256 occupiedS = block.timestamp - state.round.openedAt;
        if (occupiedS > wholeS) occupiedS = wholeS;
        // 128, 20 and 33 bits: no product overflows.
        amountWei = uint256(_task(state.round.taskId).rewardWei) * OCCUPANCY_PPM * occupiedS / (PPM * wholeS);
        if (amountWei != 0) emit OccupancyPaid(roundId, state.terms.client, amountWei);
    }

    /// @dev Shares this much of the escrow out to those who were seated when the round opened; if nobody was, nobody
    /// waited for the client, which gets it back.
    function _distribute(uint64 roundId, RoundState storage state, uint256 amountWei) private {
        if (amountWei == 0) return;
        // Ballots use small numbers as accounts; a hash cannot meet one.
        bytes32 committeeAccount = keccak256(abi.encode("pole.no-block.v1", address(this), roundId));
        _moveToCommittee(
            IRewardReservoir.Pot.Escrow, _account(state.round.taskId), committeeAccount, amountWei
        );
        COMMITTEE.distribute(committeeAccount, state.round.openedAt, state.terms.client);
    }

    /// @dev Opens a ballot for those who were seated when commits closed; they can earn these bonds and all escrow but
    /// the reward and the client's bond: the fee, and what a ballot before this one gave back.
    function _openBallot(Round storage voted, uint256 entryCount, uint256 forfeitedWei) internal {
        bytes32 account = _account(voted.taskId);
        voted.ballotId = COMMITTEE.openBallot(uint16(entryCount), account, voted.commitsClosedAt);
        bytes32 ballotAccount = bytes32(uint256(voted.ballotId));
        ITaskMarket.Task memory task = _task(voted.taskId);
        uint256 feeWei = _held(IRewardReservoir.Pot.Escrow, account) - task.rewardWei - task.bondWei;
        _moveToCommittee(IRewardReservoir.Pot.Escrow, account, ballotAccount, feeWei);
        _moveToCommittee(IRewardReservoir.Pot.Bond, account, ballotAccount, forfeitedWei);
    }

    /// @dev Equal shares of the escrow for the miners in the set.
    /// @return first of them, who gets the last share and the dust
    // slither-disable-next-line calls-loop: at most one per submission, to our own reservoir
    function _payUnjudged(uint64 taskId, uint256 set, Entry[] memory entries)
        private
        returns (address first)
    {
        bytes32 account = _account(taskId);
        uint256 shareWei = _held(IRewardReservoir.Pot.Escrow, account) / _size(set);
        for (uint256 i = 0; i < entries.length; i++) {
            if (!_has(set, i)) continue;
            if (first == address(0)) first = entries[i].miner;
            else _credit(IRewardReservoir.Pot.Escrow, account, entries[i].miner, shareWei);
        }
    }

    /// @dev Back to the client, or beside the miners' bonds if they share it. The seated get it with what else is theirs.
    function _payClientBond(RoundState storage state, Settlement memory settled, uint256 clientBondWei)
        private
    {
        bytes32 account = _account(state.round.taskId);
        IRewardReservoir.Pot pot = IRewardReservoir.Pot.Escrow;
        if (settled.clientBondTo == Payee.Miners) {
            _move(pot, account, address(MARKET), IRewardReservoir.Pot.Bond, account, clientBondWei);
        } else if (settled.clientBondTo == Payee.Client) {
            _credit(pot, account, state.terms.client, clientBondWei);
        }
    }

    /// @dev Returns the bonds in the set, with equal shares of a client's bond if it goes to the miners. All else, and the
    /// rounding dust, goes to the client.
    function _payBonds(
        uint64 roundId,
        RoundState storage state,
        Settlement memory settled,
        uint256 revealed,
        Entry[] memory entries,
        uint256 clientBondWei
    ) private {
        bytes32 account = _account(state.round.taskId);
        if (entries.length != 0) {
            uint256 sharers;
            if (settled.clientBondTo == Payee.Miners) {
                sharers = _sharers(entries.length, settled.returned, revealed);
                clientBondWei /= _size(sharers);
            }
            uint256 feeWei = settled.areFeesReturned ? _judgingFeeWei(state) : 0;
            address[] memory payees = new address[](entries.length);
            uint256[] memory amountsWei = new uint256[](entries.length);
            for (uint256 i = 0; i < payees.length; i++) {
                uint256 bondWei = _bondWei(entries[i]);
                payees[i] = entries[i].miner;
                if (_has(sharers, i)) amountsWei[i] = clientBondWei;
                if (_has(settled.returned, i)) amountsWei[i] += bondWei + feeWei;
                else if (_has(revealed, i)) emit BondForfeited(roundId, payees[i], bondWei);
            }
            RESERVOIR.creditMany(IRewardReservoir.Pot.Bond, account, payees, amountsWei);
        }
        _creditRest(IRewardReservoir.Pot.Bond, account, state.terms.client);
    }

    /// @dev Who shares a client's bond: a client can lose it to miners only if somebody committed.
    function _sharers(uint256 count, uint256 returned, uint256 revealed) private pure returns (uint256) {
        uint256 all = (1 << count) - 1;
        if (returned & all != 0) return returned & all;
        return revealed != 0 ? revealed : all;
    }

    /// @dev Puts the judging fees that a void ballot gave back beside the bonds that return.
    function _recoverFees(RoundState storage state) internal {
        bytes32 account = _account(state.round.taskId);
        uint256 amountWei = state.round.revealedCount * _judgingFeeWei(state);
        _move(
            IRewardReservoir.Pot.Escrow,
            account,
            address(MARKET),
            IRewardReservoir.Pot.Bond,
            account,
            amountWei
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

    /// @dev Commits are closed: bonds and judging fees, which this contract has held, go where all money is.
    function _depositBonds(RoundState storage state) internal {
        uint256 count = state.round.submissionCount;
        uint256 amountWei = count * _judgingFeeWei(state);
        for (uint256 i = 0; i < count; i++) {
            amountWei += _bondWei(_entry(state, i));
        }
        RESERVOIR.deposit{value: amountWei}(IRewardReservoir.Pot.Bond, _account(state.round.taskId));
    }

    /// @dev Gives a displaced miner back what it paid.
    function _repay(RoundState storage state, address miner, uint256 amountWei) internal {
        bytes32 account = _account(state.round.taskId);
        RESERVOIR.deposit{value: amountWei}(IRewardReservoir.Pot.Bond, account);
        _credit(IRewardReservoir.Pot.Bond, account, miner, amountWei);
    }

    function _task(uint64 taskId) internal view returns (ITaskMarket.Task memory) {
        return MARKET.task(taskId);
    }

    /// @dev A client owes its test set from when commits closed; an idle round has none.
    function _isWithheld(Round storage ended) internal view returns (bool) {
        return ended.taskId != 0 && !ended.isTestSetReleased && ended.commitsClosedAt != 0;
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
        return RESERVOIR.balanceOf(address(MARKET), pot, account);
    }

    /// @dev Of a task; an idle round's is the lane's own, which no task's number can meet.
    function _account(uint64 taskId) internal view returns (bytes32) {
        return bytes32(taskId == 0 ? uint256(uint160(address(this))) : uint256(taskId));
    }
}
