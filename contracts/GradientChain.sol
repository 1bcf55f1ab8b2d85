// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GradientTasks} from "./GradientTasks.sol";
import {IGradientChain} from "./interfaces/IGradientChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Anchors} from "./libraries/Anchors.sol";
import {Cid, Cids} from "./libraries/Cids.sol";
import {Verdicts} from "./libraries/Verdicts.sol";

/// @title GradientChain
/// @notice See the documentation in {IGradientChain}.
/// @dev The contracts it calls never hand control to anybody else, so no call can re-enter in the middle of another.
contract GradientChain is GradientTasks {
    /// @notice Proposals per ballot: what the verifiers of one ballot have to replay at most.
    uint8 private constant MAX_PROPOSALS = 8;
    /// @notice Void ballots in a row at one height before its task is stopped.
    uint8 private constant MAX_VOID_BALLOTS = 3;

    /// @custom:security non-reentrant
    IVerifierCommittee public immutable COMMITTEE;
    Height private _current;
    /// @dev For how long the committee's clock had stood still when this search began.
    uint40 private _stoodStillS;
    Proposal[MAX_PROPOSALS] private _proposals;
    /// @dev Bit `index * MAX_PROPOSALS + entry`: this member has reported on this entry.
    mapping(uint64 ballotId => uint256 set) private _reported;
    /// @dev Who was the first to report a wrong segment of this entry.
    mapping(uint64 ballotId => mapping(uint256 entry => address member)) private _accusers;

    /// @param reservoir must already list this contract as an operator
    /// @param committee must list this contract as a chain
    constructor(IRewardReservoir reservoir, IVerifierCommittee committee, GradientParameters memory given)
        GradientTasks(reservoir, given)
    {
        if (address(committee) == address(0)) revert IRewardReservoir.ZeroAddress();
        COMMITTEE = committee;
        _current.height = 1;
    }

    /// @inheritdoc IGradientChain
    function openTask() external override returns (uint64 taskId) {
        if (_current.phase != HeightPhase.Idle) revert TaskActive(_current.taskId);
        taskId = _popTask();
        GradientHeader memory opening;
        opening.taskId = taskId;
        opening.weights = _tasks[taskId].terms.genesisWeights;
        _append(opening);
        _startHeight(taskId);
    }

    /// @inheritdoc IGradientChain
    function propose(
        uint64 atHeight,
        bytes32 previousHash,
        uint32 step,
        uint32 signDigest,
        Cid calldata proof,
        Cid calldata weights
    ) external override {
        // Check: on top of this block, in time, by an enrolled miner, once, and valid for all that can be seen here.
        Height storage working = _current;
        _checkOpen(atHeight, previousHash);
        _checkMiner(atHeight);
        GradientTask storage searched = _tasks[working.taskId];
        if (step < searched.terms.minStep || step > searched.terms.maxStep) {
            revert StepOutOfRange(step, searched.terms.minStep, searched.terms.maxStep);
        }
        uint40 searchedS = _searchedS();
        uint32 below = _threshold(searched, searchedS);
        if (signDigest >= below) revert DigestNotBelow(signDigest, below);
        Cids.check(proof);
        Cids.check(weights);

        // Effect: onto the list, in a lower bond's place if it is full; the first one stops the search.
        if (working.proposalCount == MAX_PROPOSALS) _makeRoom(atHeight);
        uint8 index = working.proposalCount++;
        Proposal memory added = Proposal(msg.sender, step, signDigest, below, searchedS, proof, weights);
        _keep(index, added);
        _miners[msg.sender].hasProposal = true;
        emit BlockProposed(atHeight, msg.sender, index, added);
        if (index == 0) _enter(HeightPhase.Collect, uint40(block.timestamp) + COLLECT_WINDOW_S);
    }

    /// @inheritdoc IGradientChain
    function advance() external override returns (HeightPhase phase) {
        Height storage working = _current;
        phase = working.phase;
        if (!isDue()) revert NotDue(working.height, phase, working.deadline);
        if (phase == HeightPhase.Search) _endSearch();
        else if (phase == HeightPhase.Collect) _endCollect();
        else _endVoting();
        return working.phase;
    }

    /// @inheritdoc IGradientChain
    function reportSegments(uint64 ballotId, uint8 index, uint16 entry, uint256 wrongSegments)
        external
        override
    {
        // Check: on a proposal of the open ballot, by a member, once.
        if (_current.phase != HeightPhase.Voting || _current.ballotId != ballotId) {
            revert WrongPhase(_current.height, _current.phase);
        }
        if (entry >= _current.proposalCount) revert UnknownEntry(entry, _current.proposalCount);
        address member = COMMITTEE.checkVoter(ballotId, index, msg.sender);
        uint256 bit = 1 << (uint256(index) * MAX_PROPOSALS + entry);
        if (_reported[ballotId] & bit != 0) revert AlreadyReported(ballotId, member, entry);

        // Effect: it is said.
        _reported[ballotId] |= bit;
        if (wrongSegments != 0 && _accusers[ballotId][entry] == address(0)) {
            _accusers[ballotId][entry] = member;
        }
        emit SegmentsReported(ballotId, member, entry, wrongSegments);
    }

    /// @inheritdoc IGradientChain
    function current() external view override returns (Height memory shown) {
        shown = _current;
        if (shown.phase == HeightPhase.Search) shown.deadline = _deadline();
    }

    /// @inheritdoc IGradientChain
    function proposals() external view override returns (Proposal[] memory all) {
        all = new Proposal[](_current.proposalCount);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = _proposal(i);
        }
    }

    /// @inheritdoc IGradientChain
    function threshold() external view override returns (uint32) {
        if (!_isTaking() || !_isJudged() || block.timestamp >= _deadline()) return 0;
        return _threshold(_tasks[_current.taskId], _searchedS());
    }

    /// @inheritdoc IGradientChain
    function isDue() public view override returns (bool) {
        HeightPhase phase = _current.phase;
        if (phase == HeightPhase.Idle) return false;
        if (phase == HeightPhase.Voting) {
            return _ballotPhase() >= IVerifierCommittee.BallotPhase.Closed;
        }
        if (block.timestamp >= _deadline()) return true;
        return phase == HeightPhase.Search && _isLapsed();
    }

    /// @dev The client pays for one ballot all the same: else anybody could hold the chain with a task that nobody can
    /// mine, for nothing.
    function _endSearch() private {
        uint64 taskId = _current.taskId;
        if (!_isLapsed()) {
            // Ballots use small numbers as accounts; a hash cannot meet one.
            bytes32 account = keccak256(abi.encode("pole.search-timed-out.v1", address(this), taskId));
            _moveFee(taskId, account);
            COMMITTEE.distribute(account, headerTime(height()), _tasks[taskId].client);
        }
        _endTask(GradientTaskState.Stopped, StopReason.TimedOut);
    }

    /// @dev Those who were seated when the first proposal came in vote. The committee shares the ballot's fee; a void
    /// ballot's comes back to the budget.
    function _endCollect() private {
        Height storage working = _current;
        uint40 membersAt = working.deadline - COLLECT_WINDOW_S;
        working.ballotId = COMMITTEE.openBallot(working.proposalCount, _account(working.taskId), membersAt);
        working.votingBlock = Anchors.current(ANCHOR);
        _enter(HeightPhase.Voting, 0);
        _moveFee(working.taskId, _account(working.ballotId));
    }

    /// @dev Its miner may propose again, or leave.
    function _free(uint256 index) private {
        _miners[_proposals[index].miner].hasProposal = false;
    }

    /// @dev Takes the lowest bond off the list, of equal ones the last; who was first keeps its place. The others keep
    /// their order, which decides whose valid proposal is the block.
    function _makeRoom(uint64 atHeight) private {
        uint256 lowest = 1;
        for (uint256 i = 2; i < MAX_PROPOSALS; i++) {
            if (_bondOf(i) <= _bondOf(lowest)) lowest = i;
        }
        address displaced = _proposals[lowest].miner;
        uint128 lowestWei = _bondOf(lowest);
        if (_miners[msg.sender].bondWei <= lowestWei) revert HeightFull(atHeight, lowestWei);
        _free(lowest);
        for (uint256 i = lowest + 1; i < MAX_PROPOSALS; i++) {
            _keep(i - 1, _proposal(i));
        }
        _current.proposalCount--;
        emit ProposalDisplaced(atHeight, displaced, msg.sender);
    }

    /// @dev The one place that writes a proposal; like reading one, it takes a lot of code.
    function _keep(uint256 index, Proposal memory added) private {
        _proposals[index] = added;
    }

    function _proposal(uint256 index) private view returns (Proposal memory) {
        return _proposals[index];
    }

    function _bondOf(uint256 index) private view returns (uint128) {
        return _miners[_proposals[index].miner].bondWei;
    }

    function _moveFee(uint64 taskId, bytes32 committeeAccount) private {
        uint256 feeWei = _tasks[taskId].feeWei;
        if (feeWei == 0) return;
        _moveToEscrow(
            IRewardReservoir.Pot.Escrow, _account(taskId), address(COMMITTEE), committeeAccount, feeWei
        );
    }

    function _endVoting() private {
        if (_ballotPhase() == IVerifierCommittee.BallotPhase.Void) _void();
        else _settle(COMMITTEE.outcome(_current.ballotId));
    }

    /// @dev Nothing was decided: every bond that is left stays, and the search goes on while there is hope and money.
    function _void() private {
        Height storage working = _current;
        emit ProposalsRejected(working.height, working.ballotId, true);
        for (uint256 i = 0; i < working.proposalCount; i++) {
            _free(i);
        }
        working.voidBallots++;
        if (working.voidBallots == MAX_VOID_BALLOTS || !_canPayBlock(working.taskId)) {
            _endTask(GradientTaskState.Stopped, StopReason.QuorumLost);
        } else {
            _resumeSearch();
        }
    }

    /// @dev The earliest valid proposal is the block; the bad ones lose their bonds to the task, whose surplus is the
    /// client's; those left undecided lose nothing.
    function _settle(uint256[] memory outcome) private {
        Height storage working = _current;
        uint256 count = working.proposalCount;
        uint256 accepted = count;
        bool isUndecided;
        for (uint256 i = count; i > 0; i--) {
            address miner = _proposals[i - 1].miner;
            IVerifierCommittee.VerdictKind kind = Verdicts.verdictAt(outcome, i - 1).train;
            if (_isBad(kind)) {
                _rewardAccuser(i - 1, _slash(miner, _account(working.taskId)));
                continue;
            }
            _free(i - 1);
            if (kind == IVerifierCommittee.VerdictKind.Scored) accepted = i - 1;
            else isUndecided = true;
        }
        if (accepted < count) {
            _accept(_proposal(accepted), Verdicts.verdictAt(outcome, accepted));
            return;
        }
        // The ballot was held for nothing: its fee comes out of the bonds, not out of the budget.
        _creditSurplus(working.taskId);
        if (isUndecided) {
            _void();
            return;
        }
        emit ProposalsRejected(working.height, working.ballotId, false);
        working.voidBallots = 0;
        _resumeSearch();
    }

    /// @dev A part of the lost bond, which has gone to the task's budget.
    function _rewardAccuser(uint256 entry, uint256 bondWei) private {
        uint64 ballotId = _current.ballotId;
        address accuser = _accusers[ballotId][entry];
        if (accuser == address(0)) return;
        uint256 rewardWei = _accuserPart(bondWei);
        emit AccuserRewarded(ballotId, accuser, uint16(entry), rewardWei);
        _creditBudget(_current.taskId, accuser, rewardWei);
    }

    function _accept(Proposal memory accepted, IVerifierCommittee.Verdict memory verdict) private {
        uint64 taskId = _current.taskId;
        GradientTask storage paid = _tasks[taskId];
        GradientHeader memory added;
        added.taskId = taskId;
        added.miner = accepted.miner;
        added.weights = accepted.weights;
        added.proof = accepted.proof;
        added.step = accepted.step;
        added.signDigest = accepted.signDigest;
        added.threshold = accepted.threshold;
        added.intervalS = uint32(accepted.searchedS - paid.searchedS);
        added.trainPpm = verdict.trainPpm;
        added.testPpm = verdict.testPpm;
        _append(added);
        paid.searchedS = accepted.searchedS;
        paid.blocksDone++;
        _creditBudget(taskId, accepted.miner, paid.terms.blockRewardWei);
        _creditSurplus(taskId);

        // An undecided test accuracy counts as 0.
        uint32 targetTestPpm = paid.terms.targetTestPpm;
        bool isReached = targetTestPpm != 0 && verdict.testPpm >= targetTestPpm;
        if (isReached || paid.blocksDone == paid.terms.blockCount) {
            _endTask(GradientTaskState.Completed, StopReason.None);
        } else if (_canPayBlock(taskId)) {
            _startHeight(taskId);
        } else {
            _endTask(GradientTaskState.Stopped, StopReason.QuorumLost);
        }
    }

    function _endTask(GradientTaskState state, StopReason reason) private {
        uint64 taskId = _current.taskId;
        _clear();
        _enter(HeightPhase.Idle, 0);
        _closeTask(taskId, state, reason);
    }

    function _startHeight(uint64 taskId) private {
        _clear();
        _current.taskId = taskId;
        _search(0);
    }

    function _clear() private {
        delete _current;
        _current.height = height() + 1;
    }

    /// @dev Collecting and voting took no search time: the clock goes on from the first proposal.
    function _resumeSearch() private {
        Height storage working = _current;
        uint40 searchedS = _proposals[0].searchedS - _tasks[working.taskId].searchedS;
        working.ballotId = 0;
        working.proposalCount = 0;
        working.votingBlock = 0;
        _search(searchedS);
    }

    function _search(uint40 searchedS) private {
        uint40 startedAt = uint40(block.timestamp) - searchedS;
        _current.searchStartedAt = startedAt;
        _stoodStillS = COMMITTEE.stoodStillS();
        _enter(HeightPhase.Search, startedAt + _tasks[_current.taskId].terms.blockTimeLimitS);
    }

    function _enter(HeightPhase phase, uint40 deadline) private {
        _current.phase = phase;
        _current.deadline = deadline;
        emit HeightPhaseChanged(_current.height, phase, deadline);
    }

    /// @dev Search time of the whole task, which stands still from the first proposal on, and while too few are seated.
    function _searchedS() private view returns (uint40) {
        if (_current.proposalCount != 0) return _proposals[0].searchedS;
        uint40 ranS = uint40(block.timestamp) - _current.searchStartedAt - _stillS();
        return _tasks[_current.taskId].searchedS + ranS;
    }

    function _stillS() private view returns (uint40) {
        return COMMITTEE.stoodStillS() - _stoodStillS;
    }

    /// @dev A search's moves on for as long as its clock stands still.
    function _deadline() private view returns (uint40) {
        return _current.phase == HeightPhase.Search ? _current.deadline + _stillS() : _current.deadline;
    }

    /// @dev Nobody has to wait longer for a committee.
    function _isLapsed() private view returns (bool) {
        return _seating() == IVerifierCommittee.Seating.Lapsed;
    }

    /// @dev Whether a proposal has its voters, or would get them.
    function _isJudged() private view returns (bool) {
        return _current.proposalCount != 0 || _seating() == IVerifierCommittee.Seating.Enough;
    }

    function _seating() private view returns (IVerifierCommittee.Seating) {
        return COMMITTEE.seating(_current.deadline);
    }

    function _isTaking() private view returns (bool) {
        return _current.phase == HeightPhase.Search || _current.phase == HeightPhase.Collect;
    }

    // slither-disable-next-line unused-return: the rest is read when the phase says so
    function _ballotPhase() private view returns (IVerifierCommittee.BallotPhase phase) {
        (phase,,) = COMMITTEE.result(_current.ballotId);
    }

    /// @dev Those who will vote are fixed with the first proposal, which shows its weights: there have to be enough.
    function _checkOpen(uint64 atHeight, bytes32 previousHash) private view {
        if (atHeight != _current.height) revert WrongHeight(atHeight, _current.height);
        if (!_isTaking()) revert WrongPhase(atHeight, _current.phase);
        bytes32 newest = headerHash(height());
        if (previousHash != newest) revert WrongPreviousHash(previousHash, newest);
        uint40 deadline = _deadline();
        if (block.timestamp >= deadline) revert DeadlinePassed(atHeight, deadline);
        if (!_isJudged()) revert TooFewSeated();
    }

    /// @dev Whoever could still enrol after seeing the hash would try addresses until one has luck at its first step.
    function _checkMiner(uint64 atHeight) private view {
        Miner storage proposer = _miners[msg.sender];
        _checkEnrolled(proposer);
        if (proposer.hasProposal) revert AlreadyProposed(atHeight, msg.sender);
        uint64 fixedAtBlock = headerBlock(height());
        if (proposer.enrolledAtBlock >= fixedAtBlock) {
            revert EnrolledTooLate(msg.sender, proposer.enrolledAtBlock, fixedAtBlock);
        }
    }

    /// @dev A proposal whose content could not be fetched is as bad as one that does not replay.
    function _isBad(IVerifierCommittee.VerdictKind kind) private pure returns (bool) {
        return
            kind == IVerifierCommittee.VerdictKind.Invalid
                || kind == IVerifierCommittee.VerdictKind.Unavailable;
    }
}
