// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundLedger} from "./RoundLedger.sol";
import {RoundJudgement} from "./RoundJudgement.sol";
import {RoundTreasury} from "./RoundTreasury.sol";
import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "./libraries/Cids.sol";
import {Commitments} from "./libraries/Commitments.sol";

/// @title LearningChain
/// @notice See the documentation in {ILearningChain}.
/// @dev The contracts it calls never hand control to anybody else, so no call can re-enter in the middle of another.
contract LearningChain is RoundJudgement {
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
    // slither-disable-next-line reentrancy-events,reentrancy-no-eth: it calls our own contracts, which call nobody back
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
    // slither-disable-next-line reentrancy-events,reentrancy-no-eth: it calls our own contracts, which call nobody back
    function openIdleRound() external override returns (uint64 roundId) {
        _checkNoRound();
        MARKET.beginIdleRound();
        IdleTask storage idle = _idleTask;
        Terms memory kept = _kept(
            msg.sender, idle.requiredTrainPpm, idle.timeLimitS, idle.solutionsWanted, idle.earliestCloseS
        );
        roundId = _open(0, 0, kept, Phase.Training, kept.timeLimitS);
        _states[roundId].round.earliestCloseAt = uint40(block.timestamp) + idle.earliestCloseS;
    }

    /// @inheritdoc ILearningChain
    function publishKeys(uint64 roundId, bytes32 previousHash, Cid calldata keys) external override {
        // Check: the client, in time.
        RoundState storage state = _states[roundId];
        _checkOpen(roundId, state.round, Phase.Keys);
        _checkClient(roundId, state);
        Cids.check(keys);

        // Effect: the training clock starts.
        _bind(roundId, state.round, previousHash);
        state.round.keys = keys;
        emit KeysPublished(roundId, keys);
        state.round.earliestCloseAt = uint40(block.timestamp) + state.terms.earliestCloseS;
        _enter(roundId, state.round, Phase.Training, state.terms.timeLimitS);
    }

    /// @inheritdoc ILearningChain
    // slither-disable-next-line reentrancy-events,reentrancy-no-eth: it calls our own contracts, which call nobody back
    function commit(uint64 roundId, bytes32 previousHash, bytes32 commitment, uint32 claimedTrainPpm)
        external
        payable
        override
    {
        // Check: in time, and a claim that can be.
        RoundState storage state = _states[roundId];
        bool isOvertime = state.round.phase == Phase.Overtime;
        _checkOpen(roundId, state.round, isOvertime ? Phase.Overtime : Phase.Training);
        if (commitment == bytes32(0)) revert EmptyCommitment();
        if (claimedTrainPpm > PPM) revert InvalidAccuracy(claimedTrainPpm);

        // Effect: enter it, or replace the miner's own.
        _bind(roundId, state.round, previousHash);
        Entry storage entry = state.entries[msg.sender];
        uint256 bondWei = msg.value;
        uint256 index = entry.indexPlusOne;
        index = index == 0 ? _takePlace(roundId, state) : index - 1;
        if (entry.indexPlusOne == 0) bondWei -= _judgingFeeWei(state);
        _place(roundId, state, index, commitment, claimedTrainPpm);
        // There are fewer than 2^96 wei.
        entry.bondWei += uint96(bondWei);

        // Interaction: the reservoir holds fee and bond.
        RESERVOIR.deposit{value: msg.value}(IRewardReservoir.Pot.Bond, _account(state.round.taskId));
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
    function reveal(uint64 roundId, Cid calldata model, bytes32 salt) external override {
        // Check: in time, committed, not yet revealed, and what was committed to.
        RoundState storage state = _states[roundId];
        _checkOpen(roundId, state.round, Phase.Reveal);
        Entry storage entry = state.entries[msg.sender];
        if (entry.indexPlusOne == 0) revert NotCommitted(roundId, msg.sender);
        if (entry.isRevealed) revert AlreadyRevealed(roundId, msg.sender);
        Cids.check(model);
        bytes32 previousHash = state.round.previousHash;
        _checkCommitment(
            entry.digest, Commitments.solution(address(this), roundId, msg.sender, previousHash, model, salt)
        );

        // Effect: open it.
        _openSubmission(roundId, state, model);
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
            (IVerifierCommittee.BallotPhase ballotPhase,) = _result(queried);
            return ballotPhase >= IVerifierCommittee.BallotPhase.Closed;
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
        opened.anchorBlock = uint64(block.number) + 1;
        opened.openedAt = uint40(block.timestamp);
        opened.judgingFeeGwei = _judgingFeeGwei(rewardWei);
        state.terms = terms;
        emit RoundOpened(roundId, taskId, opened.height, opened.anchorBlock);
        _enter(roundId, opened, phase, windowS);
    }

    // slither-disable-next-line reentrancy-events: it calls our own contracts, which call nobody back
    function _endKeys(uint64 roundId, RoundState storage state) private {
        _abort(roundId, state.round, AbortReason.KeysMissing);
        _payOccupancy(roundId, state);
        _forfeitClientBond(roundId, state);
        _closeTask(state.round.taskId, ITaskMarket.TaskState.Refunded, state.terms.client);
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
            _abortAndSettle(roundId, state, AbortReason.NoSolution, 0);
        }
    }

    /// @dev Fixes who will vote. An idle round's data is public: there is no test set to wait for.
    // slither-disable-next-line incorrect-equality: phases and ids, which no sender can nudge
    function _closeCommits(uint64 roundId, RoundState storage state) private {
        Round storage closing = state.round;
        if (_seating(closing) == IVerifierCommittee.Seating.Lapsed) {
            _abort(roundId, closing, AbortReason.QuorumLost);
            _giveBack(roundId, state, type(uint256).max, _judgingFeeWei(state));
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
        uint256 revealed = _revealedSet(state);
        uint256 feeWei = _judgingFeeWei(state);
        uint256 forfeitedWei;
        for (uint256 i = 0; i < ending.submissionCount; i++) {
            if (_has(revealed, i)) continue;
            uint256 lostWei = state.entries[state.miners[i]].bondWei + feeWei;
            forfeitedWei += lostWei;
            emit BondForfeited(roundId, state.miners[i], lostWei);
        }
        if (revealed == 0) {
            _abortAndSettle(roundId, state, AbortReason.NothingRevealed, 0);
        } else {
            _enter(roundId, ending, Phase.Voting, 0);
            (state.taskListHash, state.newTasksHash) = MARKET.listHashes();
            _openBallot(ending, ending.revealedCount, forfeitedWei + ending.revealedCount * feeWei);
        }
    }

    /// @dev A ballot that leaves entries undecided is repeated once, for them.
    // slither-disable-next-line reentrancy-events: it calls our own contracts, which call nobody back
    function _endVoting(uint64 roundId, RoundState storage state) private {
        Round storage voted = state.round;
        (IVerifierCommittee.BallotPhase ballotPhase,) = _result(voted);
        bool isFirst = voted.firstBallotId == 0;
        if (isFirst && ballotPhase == IVerifierCommittee.BallotPhase.Void) {
            _abort(roundId, voted, AbortReason.QuorumLost);
            _recoverFees(state);
            _giveBack(roundId, state, _revealedSet(state), _judgingFeeWei(state));
            return;
        }
        Judgement memory judged = _judge(state);
        if (isFirst && judged.undecidedCount != 0) {
            voted.firstBallotId = voted.ballotId;
            _openBallot(voted, judged.undecidedCount, 0);
        } else {
            _finalise(roundId, state, judged);
        }
    }

    /// @dev What the committee decided makes the block, or shows that there is none to make.
    // slither-disable-next-line reentrancy-benign,reentrancy-events: it calls our own contracts, which call nobody back
    function _finalise(uint64 roundId, RoundState storage state, Judgement memory judged) private {
        Round storage ended = state.round;
        if (judged.isDataWithheld) ended.isTestSetReleased = false;
        uint256 contenders = judged.qualified != 0 ? judged.qualified : judged.valid;
        bool isByTest = ended.isTestSetReleased && contenders & ~judged.tested == 0;
        (uint256[] memory scores, uint256 winner) = _scores(state, judged.candidates, contenders, isByTest);
        ITaskMarket.Task memory task = _task(ended.taskId);
        bool isSolved = judged.valid != 0;
        bool isBelowFloor = isSolved && judged.qualified == 0 && isByTest
            && judged.candidates[winner].testPpm < task.terms.minTestPpm;
        uint256 returned = judged.valid | judged.unjudged;
        if (isSolved && !isBelowFloor) {
            _enter(roundId, ended, Phase.Finalised, 0);
            uint256 ommersAtHeight = judged.qualified == 0 ? 0 : _size(judged.qualified) - 1;
            _append(roundId, state, judged.candidates, scores, uint16(ommersAtHeight), task.terms.manifest);
            _settleBonds(roundId, state, returned, 0);
            _closeTask(ended.taskId, ITaskMarket.TaskState.Solved, state.miners[winner]);
        } else if (judged.unjudged != 0) {
            _abort(roundId, ended, AbortReason.Undecided);
            _settleBonds(roundId, state, returned, 0);
            _closeForMiners(state, judged.unjudged);
        } else {
            AbortReason reason = isBelowFloor ? AbortReason.BelowFloor : AbortReason.NoValidSolution;
            _abortAndSettle(roundId, state, reason, returned);
        }
    }

    // slither-disable-next-line reentrancy-events: it calls our own contracts, which call nobody back
    function _abortAndSettle(uint64 roundId, RoundState storage state, AbortReason reason, uint256 returned)
        private
    {
        _abort(roundId, state.round, reason);
        _payOccupancy(roundId, state);
        _giveBack(roundId, state, returned, 0);
    }

    /// @dev Ends the task with its client as the payee of what is left.
    function _giveBack(uint64 roundId, RoundState storage state, uint256 returned, uint256 feeWei) private {
        _settleBonds(roundId, state, returned, feeWei);
        _closeTask(state.round.taskId, ITaskMarket.TaskState.Refunded, state.terms.client);
    }

    /// @dev A new place, or in a full round that of the lowest bond. What was sent must cover fee and bond.
    // slither-disable-next-line reentrancy-events: it calls our own contracts, which call nobody back
    function _takePlace(uint64 roundId, RoundState storage state) private returns (uint256 index) {
        uint256 feeWei = _judgingFeeWei(state);
        uint256 neededWei = feeWei + MINER_BOND_WEI;
        if (msg.value < neededWei) revert BondTooSmall(msg.value, neededWei);
        index = state.round.submissionCount;
        if (index < MAX_SUBMISSIONS) {
            state.round.submissionCount++;
            return index;
        }
        index = _lowest(state);
        uint256 lowestWei = state.entries[state.miners[index]].bondWei;
        if (msg.value - feeWei <= lowestWei) revert RoundFull(roundId, lowestWei);
        _repay(state, index, feeWei);
        _displace(roundId, state, index);
    }

    /// @dev Everything in a header was fixed when the votes were committed, but for what is withheld after that.
    function _append(
        uint64 roundId,
        RoundState storage state,
        IBlockLedger.Candidate[] memory candidates,
        uint256[] memory scores,
        uint16 ommersAtHeight,
        Cid memory manifest
    ) private {
        Round storage ended = state.round;
        IBlockLedger.NewBlock memory added;
        added.roundId = roundId;
        added.taskId = ended.taskId;
        added.roundHash = ended.previousHash;
        added.timestamp = ended.commitsClosedAt;
        added.ommersAtHeight = ommersAtHeight;
        added.candidates = candidates;
        added.scores = scores;
        added.body = _body(state, manifest);
        LEDGER.append(added);
    }

    /// @dev What a block commits to. `Source: PoLe, section 3.3`
    function _body(RoundState storage state, Cid memory manifest)
        private
        view
        returns (bytes32[] memory body)
    {
        Round storage ended = state.round;
        body = new bytes32[](5);
        body[0] = state.taskListHash;
        body[1] = state.newTasksHash;
        body[2] = Cids.hash(ended.taskId == 0 ? _idleTask.manifest : manifest);
        body[3] = _transcript(ended);
        if (ended.isTestSetReleased) body[4] = Cids.hash(ended.testSet);
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
        return Terms(client, uint24(requiredPpm), limitS, wanted, uint24(earliestCloseS));
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
