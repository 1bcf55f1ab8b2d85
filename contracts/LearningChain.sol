// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundLedger} from "./RoundLedger.sol";
import {RoundTreasury} from "./RoundTreasury.sol";
import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "./libraries/Cids.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {Entry} from "./libraries/Entries.sol";
import {Ending} from "./libraries/Settlements.sol";

/// @title LearningChain
/// @notice See the documentation in {ILearningChain}.
/// @dev The contracts it calls never hand control to anybody else, so no call can re-enter in the middle of another.
contract LearningChain is RoundTreasury {
    uint32 private immutable KEYS_WINDOW_S;
    uint32 private immutable OVERTIME_WINDOW_S;
    uint32 private immutable RELEASE_WINDOW_S;
    uint32 private immutable REVEAL_WINDOW_S;
    IdleTask private _idleTask;

    constructor(
        IRewardReservoir reservoir,
        ITaskMarket market,
        IVerifierCommittee committee,
        IBlockLedger ledger,
        ChainParameters memory given,
        IdleTask memory idle
    ) RoundTreasury(reservoir, market, committee, given) RoundLedger(ledger) {
        if (given.keysWindowS == 0) revert InvalidParameter("keysWindowS", 0);
        if (given.overtimeWindowS == 0) revert InvalidParameter("overtimeWindowS", 0);
        if (given.releaseWindowS == 0) revert InvalidParameter("releaseWindowS", 0);
        if (given.revealWindowS == 0) revert InvalidParameter("revealWindowS", 0);
        _checkIdleTask(idle);
        KEYS_WINDOW_S = given.keysWindowS;
        OVERTIME_WINDOW_S = given.overtimeWindowS;
        RELEASE_WINDOW_S = given.releaseWindowS;
        REVEAL_WINDOW_S = given.revealWindowS;
        _idleTask = idle;
    }

    /// @inheritdoc ILearningChain
    function openRound() external override returns (uint64 roundId) {
        _checkNoRound();
        uint64 taskId = MARKET.popMostValuable();
        ITaskMarket.Task memory task = _task(taskId);
        ITaskMarket.TaskTerms memory terms = task.terms;
        Terms memory kept = _kept(
            task.client, terms.requiredTrainPpm, terms.timeLimitS, terms.solutionsWanted, terms.earliestCloseS
        );
        return _open(taskId, task.rewardWei, kept, Phase.Keys, KEYS_WINDOW_S);
    }

    /// @inheritdoc ILearningChain
    function openIdleRound() external override returns (uint64 roundId) {
        _checkNoRound();
        MARKET.beginIdleRound();
        IdleTask storage idle = _idleTask;
        Terms memory kept = _kept(
            msg.sender, idle.requiredTrainPpm, idle.timeLimitS, idle.solutionsWanted, idle.earliestCloseS
        );
        roundId = _open(0, 0, kept, Phase.Training, kept.timeLimitS);
        Round storage opened = _states[roundId].round;
        opened.earliestCloseAt = uint40(block.timestamp) + idle.earliestCloseS;
        // Nobody publishes keys here: the first to commit binds the round, and finds the word written.
        opened.previousHash = LEDGER.headerHash(opened.height - 1);
    }

    /// @inheritdoc ILearningChain
    function publishKeys(uint64 roundId, bytes32 previousHash, Cid calldata keys) external override {
        // Check: the client, in time.
        RoundState storage state = _states[roundId];
        _checkOpen(roundId, state.round, Phase.Keys);
        _checkClient(roundId, state);
        Cids.check(keys);

        // Effect: the training clock starts.
        _bind(roundId, state, previousHash);
        state.round.keys = keys;
        emit KeysPublished(roundId, keys);
        state.round.earliestCloseAt = uint40(block.timestamp) + state.terms.earliestCloseS;
        _enter(roundId, state.round, Phase.Training, state.terms.timeLimitS);
    }

    /// @inheritdoc ILearningChain
    function commit(
        uint64 roundId,
        bytes32 previousHash,
        bytes32 commitment,
        uint32 claimedTrainPpm,
        uint8 place
    ) external payable override {
        // Check: in time, and a claim that can be.
        RoundState storage state = _states[roundId];
        bool isOvertime = state.round.phase == Phase.Overtime;
        _checkOpen(roundId, state.round, isOvertime ? Phase.Overtime : Phase.Training);
        if (commitment == bytes32(0)) revert EmptyCommitment();
        if (claimedTrainPpm > PPM) revert InvalidAccuracy(claimedTrainPpm);

        // Effect: enter it, or replace the miner's own.
        _bind(roundId, state, previousHash);
        if (place == 0) {
            _takePlace(roundId, state, commitment, claimedTrainPpm);
        } else {
            _place(roundId, state, _ownIndex(roundId, state, place), commitment, claimedTrainPpm, msg.value);
        }
    }

    /// @inheritdoc ILearningChain
    function releaseTestSet(uint64 roundId, Cid calldata testSet, bytes32 salt) external override {
        // Check: the client, in time, after the last commit's block, and what was committed to.
        RoundState storage state = _states[roundId];
        Round storage released = state.round;
        _checkOpen(roundId, released, Phase.Release);
        _checkClient(roundId, state);
        if (block.timestamp <= released.commitsClosedAt) {
            revert ReleaseTooEarly(roundId, released.commitsClosedAt);
        }
        Cids.check(testSet);
        _checkCommitment(
            _task(released.taskId).terms.testSetCommitment,
            Commitments.testSet(address(MARKET), msg.sender, testSet, salt)
        );

        // Effect: on to the reveals.
        released.testSet = testSet;
        released.isTestSetReleased = true;
        emit TestSetReleased(roundId, testSet);
        _enter(roundId, released, Phase.Reveal, REVEAL_WINDOW_S);
    }

    /// @inheritdoc ILearningChain
    function reveal(uint64 roundId, uint8 place, Cid calldata model, bytes32 salt) external override {
        // Check: in time, committed, not yet revealed, and what was committed to.
        RoundState storage state = _states[roundId];
        _checkOpen(roundId, state.round, Phase.Reveal);
        uint256 index = _ownIndex(roundId, state, place);
        Entry storage entry = state.entries[index];
        if (entry.modelCodec != 0) revert AlreadyRevealed(roundId, msg.sender);
        Cids.check(model);
        bytes32 previousHash = state.round.previousHash;
        _checkCommitment(
            entry.digest, Commitments.solution(address(this), roundId, msg.sender, previousHash, model, salt)
        );

        // Effect: open it.
        _openSubmission(roundId, state, index, model);
    }

    /// @inheritdoc ILearningChain
    function advance(uint64 roundId) external override returns (Phase phase) {
        RoundState storage state = _states[roundId];
        phase = state.round.phase;
        if (!isDue(roundId)) revert NotDue(roundId, phase, state.round.deadline);
        if (phase == Phase.Keys) _endKeys(roundId, state);
        else if (phase == Phase.Training) _endTraining(roundId, state);
        else if (phase == Phase.Overtime) _endOvertime(roundId, state);
        else if (phase == Phase.Release) _enter(roundId, state.round, Phase.Reveal, REVEAL_WINDOW_S);
        else if (phase == Phase.Reveal) _endReveal(roundId, state);
        else _endVoting(roundId, state);
        return state.round.phase;
    }

    /// @inheritdoc ILearningChain
    function parameters() external view override returns (ChainParameters memory) {
        return ChainParameters(
            KEYS_WINDOW_S,
            OVERTIME_WINDOW_S,
            RELEASE_WINDOW_S,
            REVEAL_WINDOW_S,
            MINER_BOND_WEI,
            JUDGING_FEE_WEI,
            JUDGING_FEE_PPM,
            OCCUPANCY_PPM
        );
    }

    /// @inheritdoc ILearningChain
    function idleTask() external view override returns (IdleTask memory) {
        return _idleTask;
    }

    /// @inheritdoc ILearningChain
    function isDue(uint64 roundId) public view override returns (bool) {
        RoundState storage state = _states[roundId];
        Round storage queried = state.round;
        Phase phase = queried.phase;
        if (_isOver(phase)) return false;
        if (phase == Phase.Voting) {
            return _ballotPhase(queried) >= IVerifierCommittee.BallotPhase.Closed;
        }
        uint8 count = queried.submissionCount;
        bool isTaking = phase == Phase.Training || phase == Phase.Overtime;
        if (isTaking && count != 0 && _seating(queried) == IVerifierCommittee.Seating.Waiting) {
            return false;
        }
        if (block.timestamp >= queried.deadline) return true;
        if (phase == Phase.Reveal) return queried.revealedCount == count;
        return phase == Phase.Training && block.timestamp >= queried.earliestCloseAt
            && queried.qualifiedCount >= state.terms.solutionsWanted;
    }

    function _open(uint64 taskId, uint256 rewardWei, Terms memory terms, Phase phase, uint32 windowS)
        private
        returns (uint64 roundId)
    {
        roundId = ++roundCount;
        RoundState storage state = _states[roundId];
        Round storage opened = state.round;
        opened.taskId = taskId;
        opened.height = LEDGER.height() + 1;
        opened.anchorBlock = LEDGER.nextAnchor();
        opened.openedAt = uint40(block.timestamp);
        opened.judgingFeeGwei = _judgingFeeGwei(rewardWei);
        state.terms = terms;
        emit RoundOpened(roundId, taskId, opened.height, opened.anchorBlock);
        _enter(roundId, opened, phase, windowS);
    }

    function _endKeys(uint64 roundId, RoundState storage state) private {
        _abortAndSettle(roundId, state, AbortReason.KeysMissing);
    }

    function _endTraining(uint64 roundId, RoundState storage state) private {
        Round storage ending = state.round;
        if (ending.qualifiedCount != 0) {
            _closeCommits(roundId, state);
            return;
        }
        ending.isOvertime = true;
        _enter(roundId, ending, Phase.Overtime, OVERTIME_WINDOW_S);
    }

    function _endOvertime(uint64 roundId, RoundState storage state) private {
        if (state.round.submissionCount != 0) {
            _closeCommits(roundId, state);
        } else {
            _abortAndSettle(roundId, state, AbortReason.NoSolution);
        }
    }

    /// @dev Fixes who will vote. An idle round's data is public: there is no test set to wait for.
    function _closeCommits(uint64 roundId, RoundState storage state) private {
        Round storage closing = state.round;
        _depositBonds(state);
        if (_seating(closing) == IVerifierCommittee.Seating.Lapsed) {
            _abortAndSettle(roundId, state, AbortReason.QuorumLost);
            return;
        }
        closing.commitsClosedAt = uint40(block.timestamp);
        bool isIdle = closing.taskId == 0;
        _enter(
            roundId,
            closing,
            isIdle ? Phase.Reveal : Phase.Release,
            isIdle ? REVEAL_WINDOW_S : RELEASE_WINDOW_S
        );
    }

    function _endReveal(uint64 roundId, RoundState storage state) private {
        Round storage ending = state.round;
        _recordSubmissions(state);
        uint256 feeWei = _judgingFeeWei(state);
        uint256 forfeitedWei;
        Entry[] memory entries = _entries(state);
        for (uint256 i = 0; i < entries.length; i++) {
            if (entries[i].modelCodec != 0) continue;
            uint256 lostWei = _bondWei(entries[i]) + feeWei;
            forfeitedWei += lostWei;
            emit BondForfeited(roundId, entries[i].miner, lostWei);
        }
        if (ending.revealedCount == 0) {
            _abortAndSettle(roundId, state, AbortReason.NothingRevealed);
        } else {
            _enter(roundId, ending, Phase.Voting, 0);
            (state.taskListHash, state.newTasksHash) = MARKET.listHashes();
            _openBallot(ending, ending.revealedCount, forfeitedWei + ending.revealedCount * feeWei);
        }
    }

    /// @dev A ballot that leaves entries undecided is repeated once, for them.
    function _endVoting(uint64 roundId, RoundState storage state) private {
        Round storage voted = state.round;
        bool isFirst = voted.firstBallotId == 0;
        if (isFirst && _ballotPhase(voted) == IVerifierCommittee.BallotPhase.Void) {
            _recoverFees(state);
            _abortAndSettle(roundId, state, AbortReason.QuorumLost);
            return;
        }
        ITaskMarket.Task memory task = _task(voted.taskId);
        Entry[] memory entries = _entries(state);
        IBlockLedger.Findings memory found = LEDGER.conclude(COMMITTEE, _case(roundId, state, task, entries));
        if (isFirst && found.undecidedCount != 0) {
            voted.firstBallotId = voted.ballotId;
            _openBallot(voted, found.undecidedCount, 0);
        } else {
            _finalise(roundId, state, found, entries);
        }
    }

    /// @dev What the committee decided has made the block, or shown that there is none to make.
    function _finalise(
        uint64 roundId,
        RoundState storage state,
        IBlockLedger.Findings memory found,
        Entry[] memory entries
    ) private {
        Round storage ended = state.round;
        if (found.isDataWithheld) ended.isTestSetReleased = false;
        Ending memory ending;
        if (found.valid != 0 && !found.isBelowFloor) {
            _enter(roundId, ended, Phase.Finalised, 0);
        } else {
            ending.reason = found.unjudged != 0
                ? AbortReason.Undecided
                : found.isBelowFloor ? AbortReason.BelowFloor : AbortReason.NoValidSolution;
            _abort(roundId, ended, ending.reason);
        }
        ending.judged = found.valid | found.unjudged;
        ending.unjudged = found.unjudged;
        ending.winner = found.winner;
        _settle(roundId, state, ending, entries);
    }

    function _abortAndSettle(uint64 roundId, RoundState storage state, AbortReason reason) private {
        _abort(roundId, state.round, reason);
        Ending memory ending;
        ending.reason = reason;
        _settle(roundId, state, ending, _entries(state));
    }

    /// @dev A new place, or in a full round that of the lowest bond. What was sent must cover fee and bond.
    function _takePlace(uint64 roundId, RoundState storage state, bytes32 commitment, uint32 claimedTrainPpm)
        private
    {
        // Check: fee and bond are paid, and there is room, or a lower bond.
        uint256 feeWei = _judgingFeeWei(state);
        uint256 neededWei = feeWei + MINER_BOND_WEI;
        if (msg.value < neededWei) revert BondTooSmall(msg.value, neededWei);
        uint256 bondWei = msg.value - feeWei;
        uint256 index = state.round.submissionCount;
        if (index < MAX_SUBMISSIONS) {
            state.round.submissionCount++;
            _place(roundId, state, index, commitment, claimedTrainPpm, bondWei);
            return;
        }
        Entry memory displaced;
        (index, displaced) = _lowest(state);
        if (bondWei <= _bondWei(displaced)) revert RoundFull(roundId, _bondWei(displaced));

        // Effect: the one takes the other's place.
        _displace(roundId, state, index, displaced);
        _place(roundId, state, index, commitment, claimedTrainPpm, bondWei);

        // Interaction: the reservoir owes the other what it paid.
        _repay(state, displaced.miner, _bondWei(displaced) + feeWei);
    }

    function _ownIndex(uint64 roundId, RoundState storage state, uint8 place) private view returns (uint256) {
        bool isOwn = place != 0 && place <= MAX_SUBMISSIONS && state.entries[place - 1].miner == msg.sender;
        if (!isOwn) revert NotYourPlace(roundId, place, msg.sender);
        return place - 1;
    }

    /// @dev Everything in it was fixed before the votes were committed.
    function _case(
        uint64 roundId,
        RoundState storage state,
        ITaskMarket.Task memory task,
        Entry[] memory entries
    ) private view returns (IBlockLedger.Case memory given) {
        Round storage voted = state.round;
        given.roundId = roundId;
        given.taskId = voted.taskId;
        given.roundHash = voted.previousHash;
        given.timestamp = voted.commitsClosedAt;
        given.firstBallotId = voted.firstBallotId;
        given.ballotId = voted.ballotId;
        given.requiredTrainPpm = state.terms.requiredTrainPpm;
        given.minTestPpm = uint24(task.terms.minTestPpm);
        given.entries = entries;
        given.transcript = voted.transcript;
        given.manifestHash = Cids.hash(voted.taskId == 0 ? _idleTask.manifest : task.terms.manifest);
        given.taskListHash = state.taskListHash;
        given.newTasksHash = state.newTasksHash;
        if (voted.isTestSetReleased) given.testSetHash = Cids.hash(voted.testSet);
    }

    function _ballotPhase(Round storage voted) private view returns (IVerifierCommittee.BallotPhase phase) {
        // slither-disable-next-line unused-return: the ledger asks for the votes
        (phase,,) = COMMITTEE.result(voted.ballotId);
    }

    /// @dev The clock stands still before anybody reveals while too few would vote.
    function _seating(Round storage closing) private view returns (IVerifierCommittee.Seating) {
        return COMMITTEE.seating(closing.deadline);
    }

    function _checkNoRound() private view {
        if (!_isOver(_states[roundCount].round.phase)) revert RoundInProgress(roundCount);
    }

    /// @dev The market has checked the ranges, or the constructor.
    function _kept(address client, uint32 requiredPpm, uint32 limitS, uint16 wanted, uint32 earliestCloseS)
        private
        pure
        returns (Terms memory)
    {
        return Terms(client, uint24(requiredPpm), limitS, uint8(wanted), uint24(earliestCloseS), false);
    }

    function _checkIdleTask(IdleTask memory idle) private pure {
        Cids.check(idle.manifest);
        if (idle.timeLimitS == 0) revert InvalidParameter("timeLimitS", 0);
        if (idle.requiredTrainPpm > PPM) revert InvalidAccuracy(idle.requiredTrainPpm);
        if (idle.solutionsWanted == 0 || idle.solutionsWanted > MAX_SUBMISSIONS) {
            revert InvalidParameter("solutionsWanted", idle.solutionsWanted);
        }
        if (idle.earliestCloseS > idle.timeLimitS || idle.timeLimitS > type(uint24).max) {
            revert InvalidParameter("earliestCloseS", idle.earliestCloseS);
        }
    }
}
