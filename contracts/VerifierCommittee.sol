// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Cid} from "./libraries/Cids.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {Verdicts} from "./libraries/Verdicts.sol";
import {BallotCount} from "./BallotCount.sol";
import {VerifierStakes} from "./VerifierStakes.sol";

/// @title VerifierCommittee
/// @notice See the documentation in {IVerifierCommittee}.
contract VerifierCommittee is BallotCount {
    uint16 private constant MAX_ENTRIES = 64;
    /// @inheritdoc IVerifierCommittee
    uint64 public override nextBallotId = 1;

    /// @param reservoir must already list this contract as an operator
    /// @param chains may open ballots; fixed for ever; may be deployed later
    constructor(IRewardReservoir reservoir, address[] memory chains, CommitteeParameters memory given)
        VerifierStakes(reservoir, chains, given)
    {}

    /// @inheritdoc IVerifierCommittee
    function openBallot(uint16 entryCount, bytes32 refundAccount, uint40 membersAt)
        external
        override
        onlyChain
        returns (uint64 ballotId)
    {
        // Check: there is something to vote on.
        if (entryCount == 0) revert EmptyBallot();
        if (entryCount > MAX_ENTRIES) revert TooManyEntries(entryCount, MAX_ENTRIES);

        // Effect: the verifiers of that time and their stakes are the ballot's, whatever happened to their seats.
        ballotId = nextBallotId++;
        Ballot storage opened = _ballots[ballotId];
        opened.chain = msg.sender;
        opened.entryCount = entryCount;
        opened.phase = BallotPhase.Commit;
        _openEntries += entryCount;
        opened.deadline = uint40(block.timestamp) + _commitWindowS();
        opened.refundAccount = refundAccount;
        opened.transcript = keccak256(abi.encode(block.chainid, address(this), ballotId));
        _bind(ballotId, opened, membersAt);

        emit BallotOpened(
            ballotId, msg.sender, entryCount, opened.memberCount, opened.snapshotStakeWei, opened.deadline
        );
    }

    /// @inheritdoc IVerifierCommittee
    function commitVote(uint64 ballotId, uint8 index, bytes32 commitment) external override {
        // Check: in time, a member, and only once.
        Ballot storage voted = _ballots[ballotId];
        _checkOpen(ballotId, voted, BallotPhase.Commit);
        address member = checkVoter(ballotId, index, msg.sender);
        Voting storage voting = _votings[ballotId][index];
        if (voting.commitment != bytes32(0)) revert AlreadyCommitted(ballotId, member);
        if (commitment == bytes32(0)) revert EmptyCommitment();

        // Effect: count it.
        voting.commitment = commitment;
        voted.committedCount++;
        voted.committedStakeWei += uint112(_members[ballotId][index] >> WEIGHT_SHIFT);
        voted.transcript = keccak256(abi.encode(voted.transcript, member, commitment));
        emit VoteCommitted(ballotId, member);
    }

    /// @inheritdoc IVerifierCommittee
    function revealVote(uint64 ballotId, uint8 index, bytes32 digest, bytes32 salt, Cid calldata predictions)
        external
        override
    {
        // Check: in time, committed, not yet revealed, and what was committed to.
        Ballot storage voted = _ballots[ballotId];
        _checkOpen(ballotId, voted, BallotPhase.Reveal);
        address member = checkVoter(ballotId, index, msg.sender);
        Voting storage voting = _votings[ballotId][index];
        bytes32 expected = voting.commitment;
        if (expected == bytes32(0)) revert NotCommitted(ballotId, member);
        if (voting.digest != bytes32(0)) revert AlreadyRevealed(ballotId, member);
        if (digest == bytes32(0)) revert EmptyDigest();
        bytes32 actual = Commitments.vote(address(this), ballotId, member, digest, salt);
        if (actual != expected) revert CommitmentMismatch(expected, actual);

        // Effect: count it.
        voting.digest = digest;
        voted.revealedCount++;
        voted.revealedStakeWei += uint112(_members[ballotId][index] >> WEIGHT_SHIFT);
        emit VoteRevealed(ballotId, member, digest, predictions);
    }

    /// @inheritdoc IVerifierCommittee
    function openVote(uint64 ballotId, uint8 index, uint256[] calldata verdicts) external override {
        // Check: in time, revealed, not yet opened, and a vote that can be counted.
        Ballot storage voted = _ballots[ballotId];
        _checkOpen(ballotId, voted, BallotPhase.Opening);
        bytes32 expected = _votings[ballotId][index].digest;
        if (expected == bytes32(0)) revert NotRevealed(ballotId, index);
        if (isOpened[ballotId][expected]) revert AlreadyOpened(ballotId, expected);
        bytes32 actual = Commitments.ballot(address(this), ballotId, verdicts);
        if (actual != expected) revert CommitmentMismatch(expected, actual);
        Verdicts.check(verdicts, voted.entryCount);

        // Effect: it counts, for everybody who revealed this digest.
        isOpened[ballotId][expected] = true;
        emit VoteOpened(ballotId, expected, verdicts);
    }

    /// @inheritdoc IVerifierCommittee
    function tally(uint64 ballotId, uint256[][] calldata lists)
        external
        override
        returns (BallotPhase phase)
    {
        Ballot storage tallied = _ballots[ballotId];
        if (tallied.phase == BallotPhase.Reveal) {
            _checkDue(ballotId, tallied);
            _endReveal(ballotId, tallied);
            if (tallied.phase != BallotPhase.Opening) return tallied.phase;
        }
        if (tallied.phase != BallotPhase.Opening) {
            revert WrongBallotPhase(ballotId, tallied.phase, BallotPhase.Opening);
        }
        _close(ballotId, tallied, lists);
        return tallied.phase;
    }

    /// @inheritdoc IVerifierCommittee
    function advance(uint64 ballotId) external override returns (BallotPhase phase) {
        Ballot storage advanced = _ballots[ballotId];
        _checkDue(ballotId, advanced);
        if (advanced.phase == BallotPhase.Commit) _endCommit(ballotId, advanced);
        else if (advanced.phase == BallotPhase.Reveal) _endReveal(ballotId, advanced);
        else _close(ballotId, advanced, new uint256[][](0));
        return advanced.phase;
    }

    /// @inheritdoc IVerifierCommittee
    function ballot(uint64 ballotId) external view override returns (Ballot memory) {
        return _ballots[ballotId];
    }

    /// @inheritdoc IVerifierCommittee
    function members(uint64 ballotId) external view override returns (address[] memory accounts) {
        (accounts,) = _membersOf(ballotId);
    }

    /// @inheritdoc IVerifierCommittee
    function memberOf(uint64 ballotId, address account) external view override returns (Member memory found) {
        uint256 index = _indexOf(ballotId, account);
        if (index == UNKNOWN) return found;
        Voting storage voting = _votings[ballotId][index];
        return Member({
            index: uint8(index),
            weightWei: uint96(_members[ballotId][index] >> WEIGHT_SHIFT),
            commitment: voting.commitment,
            digest: voting.digest,
            penaltyWei: voting.penaltyWei
        });
    }

    /// @inheritdoc IVerifierCommittee
    function checkVoter(uint64 ballotId, uint8 index, address voter)
        public
        view
        override
        returns (address member)
    {
        member = address(uint160(_members[ballotId][index]));
        bool isMember = member != address(0) && (voter == member || voter == _voterOf(member));
        if (!isMember) revert NotMember(ballotId, voter);
    }

    /// @inheritdoc IVerifierCommittee
    function result(uint64 ballotId)
        external
        view
        override
        returns (BallotPhase phase, bytes32 transcript, address outcomeCode)
    {
        Ballot storage found = _ballots[ballotId];
        return (found.phase, found.transcript, found.outcomeCode);
    }

    /// @inheritdoc IVerifierCommittee
    function isDue(uint64 ballotId) external view override returns (bool) {
        return _isDue(_ballots[ballotId]);
    }

    function _bind(uint64 ballotId, Ballot storage opened, uint40 membersAt) private {
        (address[] memory accounts, uint256[] memory stakesWei) = _seatedAt(membersAt);
        uint256 totalWei;
        for (uint256 i = 0; i < accounts.length; i++) {
            _members[ballotId][i] = (stakesWei[i] << WEIGHT_SHIFT) | uint160(accounts[i]);
            totalWei += stakesWei[i];
        }
        _openBallots.push(ballotId);
        opened.memberCount = uint16(accounts.length);
        // Each stake has 96 bits, and there are fewer wei than that.
        opened.snapshotStakeWei = uint96(totalWei);
    }

    function _endCommit(uint64 ballotId, Ballot storage ending) private {
        if (ending.committedCount < ending.memberCount) _slashAbsent(ballotId, ending.phase);
        if (_isQuorum(ending.committedStakeWei, ending)) {
            _enter(ballotId, ending, BallotPhase.Reveal, _parameters.voteRevealWindowS);
        } else {
            _extendOrVoid(ballotId, ending, _commitWindowS());
        }
    }

    function _endReveal(uint64 ballotId, Ballot storage ending) private {
        if (ending.revealedCount < ending.committedCount) _slashAbsent(ballotId, ending.phase);
        if (_isQuorum(ending.revealedStakeWei, ending)) {
            _enter(ballotId, ending, BallotPhase.Opening, _parameters.voteOpeningWindowS);
        } else {
            _extendOrVoid(ballotId, ending, _parameters.voteRevealWindowS);
        }
    }

    function _extendOrVoid(uint64 ballotId, Ballot storage ending, uint32 windowS) private {
        if (ending.extensions == _parameters.maxExtensions) {
            _enter(ballotId, ending, BallotPhase.Void, 0);
            _release(ballotId);
            _giveBack(ballotId, ending);
            return;
        }
        ending.extensions++;
        ending.deadline = uint40(block.timestamp) + windowS;
        emit BallotExtended(ballotId, ending.extensions, ending.deadline);
    }

    function _slashAbsent(uint64 ballotId, BallotPhase phase) private {
        (address[] memory accounts, uint256[] memory weights) = _membersOf(ballotId);
        bool isCommit = phase == BallotPhase.Commit;
        uint256 totalWei;
        for (uint256 i = 0; i < accounts.length; i++) {
            Voting storage voting = _votings[ballotId][i];
            bool hasCommitted = voting.commitment != bytes32(0);
            bool isAbsent = isCommit ? !hasCommitted : hasCommitted && voting.digest == bytes32(0);
            if (!isAbsent) continue;
            Fault fault = isCommit ? Fault.NoCommit : Fault.NoReveal;
            uint256 amountWei = _slash(ballotId, accounts[i], weights[i], fault);
            voting.penaltyWei += amountWei;
            totalWei += amountWei;
        }
        _collect(ballotId, totalWei);
    }

    /// @dev Judging takes its time for each entry, and a verifier judges those of all lanes: of ballots in the order of
    /// their deadlines, each has time for its own entries and for all before it.
    function _commitWindowS() private view returns (uint32) {
        return _parameters.voteCommitWindowS + _parameters.voteEntryS * _openEntries;
    }

    function _checkOpen(uint64 ballotId, Ballot storage voted, BallotPhase needed) private view {
        if (voted.phase != needed) revert WrongBallotPhase(ballotId, voted.phase, needed);
        if (block.timestamp >= voted.deadline) revert DeadlinePassed(ballotId, voted.deadline);
    }

    function _checkDue(uint64 ballotId, Ballot storage checked) private view {
        if (!_isDue(checked)) revert NotDue(ballotId, checked.phase, checked.deadline);
    }

    function _isDue(Ballot storage queried) private view returns (bool) {
        if (queried.phase == BallotPhase.Commit) {
            return queried.committedCount == queried.memberCount || block.timestamp >= queried.deadline;
        }
        if (queried.phase == BallotPhase.Reveal) {
            return queried.revealedCount == queried.committedCount || block.timestamp >= queried.deadline;
        }
        return queried.phase == BallotPhase.Opening && block.timestamp >= queried.deadline;
    }

    /// @dev Two thirds of the stake that the members were bound with; without any there is no quorum.
    function _isQuorum(uint256 stakeWei, Ballot storage queried) private view returns (bool) {
        return stakeWei != 0 && stakeWei * 3 >= uint256(queried.snapshotStakeWei) * 2;
    }
}
