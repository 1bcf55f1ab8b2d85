// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BlockLedger} from "./BlockLedger.sol";
import {RoundJudgement} from "./RoundJudgement.sol";
import {RoundTreasury} from "./RoundTreasury.sol";
import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IRewardToken} from "./interfaces/IRewardToken.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "./libraries/Cids.sol";
import {Commitments} from "./libraries/Commitments.sol";

/// @title LearningChain
/// @notice See the documentation in {ILearningChain}.
/// @dev The contracts it calls never hand control to anybody else, so no call can re-enter in the middle of another.
contract LearningChain is RoundJudgement {
    uint256 private constant PPM = 1_000_000;
    /// @notice Rounds that are opened for a task before it is refunded.
    uint8 public constant MAX_ATTEMPTS = 2;

    uint32 private immutable KEYS_WINDOW_S;
    uint32 private immutable OVERTIME_WINDOW_S;
    uint32 private immutable RELEASE_WINDOW_S;
    uint32 private immutable REVEAL_WINDOW_S;
    IdleTask private _idleTask;

    constructor(
        IRewardReservoir reservoir,
        IRewardToken token,
        ITaskMarket market,
        IVerifierCommittee committee,
        ChainParameters memory given,
        IdleTask memory idle
    )
        RoundTreasury(reservoir, market, committee, given.minerBondWei)
        BlockLedger(token, given.winnerReward, given.ommerFormula, idle.manifest)
    {
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
        Terms memory kept =
            Terms(task.client, terms.requiredTrainPpm, terms.timeLimitS, terms.solutionsWanted);
        return _open(taskId, kept, Phase.Keys, KEYS_WINDOW_S);
    }

    /// @inheritdoc ILearningChain
    function openIdleRound() external override returns (uint64 roundId) {
        _checkNoRound();
        uint256 pending = MARKET.pendingCount();
        if (pending != 0) revert TasksPending(pending);
        IdleTask storage idle = _idleTask;
        Terms memory kept = Terms(msg.sender, idle.requiredTrainPpm, idle.timeLimitS, idle.solutionsWanted);
        return _open(0, kept, Phase.Training, kept.timeLimitS);
    }

    /// @inheritdoc ILearningChain
    function publishKeys(uint64 roundId, Cid calldata keys) external override {
        // Check: the client, in time.
        RoundState storage state = _states[roundId];
        _checkOpen(roundId, state.round, Phase.Keys);
        _checkClient(roundId, state);
        Cids.check(keys);

        // Effect: the training clock starts.
        state.round.keys = keys;
        _record(state.round);
        emit KeysPublished(roundId, keys);
        _enter(roundId, state.round, Phase.Training, state.terms.timeLimitS);
    }

    /// @inheritdoc ILearningChain
    function commit(uint64 roundId, bytes32 commitment, uint32 claimedTrainPpm) external payable override {
        // Check: in time, good enough, bonded, once per miner, and room left.
        RoundState storage state = _states[roundId];
        bool isOvertime = state.round.phase == Phase.Overtime;
        _checkOpen(roundId, state.round, isOvertime ? Phase.Overtime : Phase.Training);
        if (commitment == bytes32(0)) revert EmptyCommitment();
        if (claimedTrainPpm > PPM) revert InvalidAccuracy(claimedTrainPpm);
        if (!isOvertime && claimedTrainPpm < state.terms.requiredTrainPpm) {
            revert ClaimBelowRequired(claimedTrainPpm, state.terms.requiredTrainPpm);
        }
        if (msg.value != MINER_BOND_WEI) revert WrongBond(msg.value, MINER_BOND_WEI);
        if (state.entries[msg.sender].indexPlusOne != 0) revert AlreadyCommitted(roundId, msg.sender);
        if (state.round.submissionCount == MAX_SUBMISSIONS) revert RoundFull(roundId, MAX_SUBMISSIONS);

        // Effect: enter it.
        _addSubmission(roundId, state, commitment, claimedTrainPpm);

        // Interaction: the reservoir holds the bond.
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
        _record(released);
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
            entry.commitment,
            Commitments.solution(address(this), roundId, msg.sender, previousHash, model, salt)
        );

        // Effect: open it.
        _openSubmission(roundId, state, model);
    }

    /// @inheritdoc ILearningChain
    function advance(uint64 roundId) external override returns (Phase phase) {
        RoundState storage state = _states[roundId];
        phase = state.round.phase;
        if (!isDue(roundId)) revert NotDue(roundId, phase, state.round.deadline);
        _record(state.round);
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
            WINNER_REWARD,
            OMMER_FORMULA
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
        uint16 count = queried.submissionCount;
        bool isTaking = phase == Phase.Training || phase == Phase.Overtime;
        if (isTaking && count != 0 && _seating(queried) == IVerifierCommittee.Seating.Waiting) {
            return false;
        }
        if (block.timestamp >= queried.deadline) return true;
        if (phase == Phase.Reveal) return queried.revealedCount == count;
        if (!isTaking) return false;
        if (count == MAX_SUBMISSIONS) return true;
        return phase == Phase.Training && queried.qualifiedCount >= state.terms.solutionsWanted;
    }

    function _open(uint64 taskId, Terms memory terms, Phase phase, uint32 windowS)
        private
        returns (uint64 roundId)
    {
        roundId = ++roundCount;
        RoundState storage state = _states[roundId];
        Round storage opened = state.round;
        opened.taskId = taskId;
        opened.height = height + 1;
        opened.previousHash = headerHash(height);
        opened.opener = msg.sender;
        state.terms = terms;
        _record(opened);
        emit RoundOpened(roundId, taskId, opened.height, opened.previousHash);
        _enter(roundId, opened, phase, windowS);
    }

    function _endKeys(uint64 roundId, RoundState storage state) private {
        uint40 openedAt;
        unchecked {
            openedAt = state.round.deadline - KEYS_WINDOW_S;
        }
        _abort(roundId, state.round, AbortReason.KeysMissing);
        _forfeitToCommittee(roundId, state, openedAt);
        _closeTask(state.round.taskId, ITaskMarket.TaskState.Refunded, state.terms.client);
    }

    function _endTraining(uint64 roundId, RoundState storage state) private {
        Round storage ending = state.round;
        if (ending.submissionCount != 0) {
            _closeCommits(roundId, state);
            return;
        }
        ending.isOvertime = true;
        _enter(roundId, ending, Phase.Overtime, OVERTIME_WINDOW_S);
    }

    function _endOvertime(uint64 roundId, RoundState storage state) private {
        uint64 taskId = state.round.taskId;
        if (state.round.submissionCount != 0) {
            _closeCommits(roundId, state);
        } else if (taskId != 0 && _task(taskId).attempts < MAX_ATTEMPTS) {
            _abort(roundId, state.round, AbortReason.NoSolution);
            _relist(taskId);
        } else {
            _abortAndSettle(roundId, state, AbortReason.NoSolution, 0);
        }
    }

    /// @dev Fixes who will vote. An idle round's data is public: there is no test set to wait for.
    // slither-disable-next-line incorrect-equality: phases and ids, which no sender can nudge
    function _closeCommits(uint64 roundId, RoundState storage state) private {
        Round storage closing = state.round;
        if (_seating(closing) == IVerifierCommittee.Seating.Lapsed) {
            _abortAndSettle(roundId, state, AbortReason.QuorumLost, type(uint256).max);
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
        for (uint256 i = 0; i < ending.submissionCount; i++) {
            if (!_has(revealed, i)) emit BondForfeited(roundId, state.miners[i], MINER_BOND_WEI);
        }
        if (revealed == 0) {
            _abortAndSettle(roundId, state, AbortReason.NothingRevealed, 0);
        } else {
            _enter(roundId, ending, Phase.Voting, 0);
            uint16 silent = ending.submissionCount - ending.revealedCount;
            _openBallot(ending, ending.revealedCount, uint256(silent) * MINER_BOND_WEI);
        }
    }

    /// @dev A ballot that leaves entries undecided is repeated once, for them.
    function _endVoting(uint64 roundId, RoundState storage state) private {
        Round storage voted = state.round;
        (IVerifierCommittee.BallotPhase ballotPhase, bytes32 transcript) = _result(voted);
        bool isFirst = voted.firstBallotId == 0;
        if (isFirst && ballotPhase == IVerifierCommittee.BallotPhase.Void) {
            _abortAndSettle(roundId, state, AbortReason.QuorumLost, _revealedSet(state));
            return;
        }
        voted.transcript = keccak256(abi.encode(voted.transcript, transcript));
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
        bool isByTest = ended.isTestSetReleased && judged.isTested;
        Candidate[] memory ranked = _ranked(judged.candidates, judged.valid, isByTest);
        ITaskMarket.Task memory task = _task(ended.taskId);
        bool isSolved = judged.valid != 0;
        bool isBelowFloor =
            isSolved && ended.isOvertime && isByTest && ranked[0].testPpm < task.terms.minTestPpm;
        uint256 returned = judged.valid | judged.unjudged;
        if (isSolved && !isBelowFloor) {
            _enter(roundId, ended, Phase.Finalised, 0);
            uint256 ommersAtHeight = ended.isOvertime ? 0 : _size(judged.valid) - 1;
            bytes32[] memory body = _body(ended, task.terms.manifest);
            _appendBlock(roundId, ended.taskId, ranked, uint16(ommersAtHeight), body);
            _settleBonds(roundId, state, returned);
            _closeTask(ended.taskId, ITaskMarket.TaskState.Solved, ranked[0].miner);
        } else if (judged.unjudged != 0) {
            _abort(roundId, ended, AbortReason.Undecided);
            _settleBonds(roundId, state, returned);
            _closeForMiners(state, judged.unjudged);
        } else {
            AbortReason reason = isBelowFloor ? AbortReason.BelowFloor : AbortReason.NoValidSolution;
            _abortAndSettle(roundId, state, reason, returned);
        }
    }

    function _abortAndSettle(uint64 roundId, RoundState storage state, AbortReason reason, uint256 returned)
        private
    {
        _abort(roundId, state.round, reason);
        _settleBonds(roundId, state, returned);
        _closeTask(state.round.taskId, ITaskMarket.TaskState.Refunded, state.terms.client);
    }

    /// @dev What a block commits to. `Source: PoLe, section 3.3`
    function _body(Round storage ended, Cid memory manifest) private returns (bytes32[] memory body) {
        body = new bytes32[](5);
        body[0] = MARKET.taskListHash();
        body[1] = MARKET.takeNewTasks();
        body[2] = Cids.hash(ended.taskId == 0 ? _idleTask.manifest : manifest);
        body[3] = ended.transcript;
        if (ended.isTestSetReleased) body[4] = Cids.hash(ended.testSet);
    }

    /// @dev The clock stands still before anybody reveals while too few would vote.
    function _seating(Round storage closing) private view returns (IVerifierCommittee.Seating) {
        return COMMITTEE.seating(closing.deadline);
    }

    function _checkNoRound() private view {
        if (!_isOver(_states[roundCount].round.phase)) revert RoundInProgress(roundCount);
    }

    function _checkIdleTask(IdleTask memory idle) private pure {
        Cids.check(idle.manifest);
        if (idle.timeLimitS == 0) revert InvalidParameter("timeLimitS", 0);
        if (idle.requiredTrainPpm > PPM) revert InvalidAccuracy(idle.requiredTrainPpm);
        if (idle.solutionsWanted == 0 || idle.solutionsWanted > MAX_SUBMISSIONS) {
            revert InvalidParameter("solutionsWanted", idle.solutionsWanted);
        }
    }
}
