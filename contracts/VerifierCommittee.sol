// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {Verdicts} from "./libraries/Verdicts.sol";
import {BallotCount} from "./BallotCount.sol";
import {VerifierStakes} from "./VerifierStakes.sol";

/// @title VerifierCommittee
/// @notice See the documentation in {IVerifierCommittee}.
contract VerifierCommittee is BallotCount {
    using EnumerableSet for EnumerableSet.AddressSet;
    using EnumerableSet for EnumerableSet.UintSet;
    using SafeCast for uint256;

    uint16 public constant MAX_ENTRIES = 64;
    /// @inheritdoc IVerifierCommittee
    uint64 public override nextBallotId = 1;

    /// @param reservoir must already list this contract as an operator
    /// @param chains may open ballots; fixed for ever; may be deployed later
    constructor(IRewardReservoir reservoir, address[] memory chains, CommitteeParameters memory given)
        VerifierStakes(reservoir, chains, given)
    {}

    /// @inheritdoc IVerifierCommittee
    function openBallot(uint16 entryCount, bytes32 refundAccount)
        external
        override
        onlyChain
        returns (uint64 ballotId)
    {
        // Check: there is something to vote on and somebody to vote.
        if (entryCount == 0) revert EmptyBallot();
        if (entryCount > MAX_ENTRIES) revert TooManyEntries(entryCount, MAX_ENTRIES);
        if (_seated.length() == 0) revert NoSeatedVerifier();

        // Effect: the seated verifiers and their stakes are the ballot's, whatever happens to their seats.
        ballotId = nextBallotId++;
        Ballot storage opened = _ballots[ballotId];
        opened.chain = msg.sender;
        opened.entryCount = entryCount;
        opened.phase = BallotPhase.Commit;
        opened.deadline = uint40(block.timestamp) + _parameters.voteCommitWindowS;
        opened.refundAccount = refundAccount;
        opened.transcript = keccak256(abi.encode(block.chainid, address(this), ballotId));
        _snapshot(ballotId, opened);

        emit BallotOpened(
            ballotId, msg.sender, entryCount, opened.memberCount, opened.snapshotStakeWei, opened.deadline
        );
    }

    /// @inheritdoc IVerifierCommittee
    function commitVote(uint64 ballotId, bytes32 commitment) external override {
        // Check: in time, a member, and only once.
        Ballot storage voted = _ballots[ballotId];
        _checkOpen(ballotId, voted, BallotPhase.Commit);
        Member storage member = _memberOf[ballotId][msg.sender];
        if (member.weightWei == 0) revert NotMember(ballotId, msg.sender);
        if (member.commitment != bytes32(0)) revert AlreadyCommitted(ballotId, msg.sender);
        if (commitment == bytes32(0)) revert EmptyCommitment();

        // Effect: count it.
        member.commitment = commitment;
        voted.committedCount++;
        voted.committedStakeWei += member.weightWei;
        voted.transcript = keccak256(abi.encode(voted.transcript, msg.sender, commitment));
        emit VoteCommitted(ballotId, msg.sender);
    }

    /// @inheritdoc IVerifierCommittee
    function revealVote(uint64 ballotId, bytes32 digest, bytes32 salt) external override {
        // Check: in time, committed, not yet revealed, and what was committed to.
        Ballot storage voted = _ballots[ballotId];
        _checkOpen(ballotId, voted, BallotPhase.Reveal);
        Member storage member = _memberOf[ballotId][msg.sender];
        if (member.commitment == bytes32(0)) revert NotCommitted(ballotId, msg.sender);
        if (member.digest != bytes32(0)) revert AlreadyRevealed(ballotId, msg.sender);
        if (digest == bytes32(0)) revert EmptyDigest();
        bytes32 actual = Commitments.vote(address(this), ballotId, msg.sender, digest, salt);
        if (actual != member.commitment) revert CommitmentMismatch(member.commitment, actual);

        // Effect: count it.
        member.digest = digest;
        voted.revealedCount++;
        voted.revealedStakeWei += member.weightWei;
        emit VoteRevealed(ballotId, msg.sender, digest);
    }

    /// @inheritdoc IVerifierCommittee
    function openVote(uint64 ballotId, address voter, uint256[] calldata verdicts) external override {
        // Check: in time, revealed, not yet opened, and a vote that can be counted.
        Ballot storage voted = _ballots[ballotId];
        _checkOpen(ballotId, voted, BallotPhase.Opening);
        bytes32 expected = _memberOf[ballotId][voter].digest;
        if (expected == bytes32(0)) revert NotRevealed(ballotId, voter);
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
    function weightOf(uint64 ballotId, address account) external view override returns (uint256 stakeWei) {
        return _memberOf[ballotId][account].weightWei;
    }

    /// @inheritdoc IVerifierCommittee
    function commitmentOf(uint64 ballotId, address account) external view override returns (bytes32) {
        return _memberOf[ballotId][account].commitment;
    }

    /// @inheritdoc IVerifierCommittee
    function digestOf(uint64 ballotId, address account) external view override returns (bytes32) {
        return _memberOf[ballotId][account].digest;
    }

    /// @inheritdoc IVerifierCommittee
    function result(uint64 ballotId) external view override returns (BallotPhase phase, bytes32 transcript) {
        return (_ballots[ballotId].phase, _ballots[ballotId].transcript);
    }

    /// @inheritdoc IVerifierCommittee
    function isDue(uint64 ballotId) external view override returns (bool) {
        return _isDue(_ballots[ballotId]);
    }

    // slither-disable-next-line unused-return: the id is new
    function _snapshot(uint64 ballotId, Ballot storage opened) private {
        address[] memory accounts = _seated.values();
        uint256 totalWei;
        for (uint256 i = 0; i < accounts.length; i++) {
            uint96 weightWei = uint96(_verifiers[accounts[i]].stakeWei);
            _seats[ballotId].push(Seat(accounts[i], weightWei));
            _memberOf[ballotId][accounts[i]].weightWei = weightWei;
            totalWei += weightWei;
        }
        _openBallots.add(ballotId);
        opened.memberCount = uint16(accounts.length);
        opened.snapshotStakeWei = totalWei.toUint96();
    }

    // slither-disable-next-line reentrancy-events,reentrancy-no-eth: it calls our own contracts, which call nobody back
    function _endCommit(uint64 ballotId, Ballot storage ending) private {
        if (ending.committedCount < ending.memberCount) _slashAbsent(ballotId, ending.phase);
        if (_isQuorum(ending.committedStakeWei, ending)) {
            _enter(ballotId, ending, BallotPhase.Reveal, _parameters.voteRevealWindowS);
        } else {
            _extendOrVoid(ballotId, ending, _parameters.voteCommitWindowS);
        }
    }

    // It calls our own contracts, which call nobody back.
    // slither-disable-next-line reentrancy-benign,reentrancy-events,reentrancy-no-eth
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
            (address[] memory accounts, uint256[] memory weights) = _membersOf(ballotId);
            _giveBack(ballotId, ending, accounts, weights);
            return;
        }
        ending.extensions++;
        ending.deadline = uint40(block.timestamp) + windowS;
        emit BallotExtended(ballotId, ending.extensions, ending.deadline);
    }

    function _slashAbsent(uint64 ballotId, BallotPhase phase) private {
        (address[] memory accounts, uint256[] memory weights) = _membersOf(ballotId);
        bool isCommit = phase == BallotPhase.Commit;
        // Silence after a commit may hide a guess: it costs no less than the guess would.
        uint256 penaltyPpm = isCommit
            ? _parameters.absencePenaltyPpm
            : Math.max(_parameters.absencePenaltyPpm, _parameters.noisePenaltyPpm);
        for (uint256 i = 0; i < accounts.length; i++) {
            Member storage member = _memberOf[ballotId][accounts[i]];
            bool hasCommitted = member.commitment != bytes32(0);
            bool isAbsent = isCommit ? !hasCommitted : hasCommitted && member.digest == bytes32(0);
            if (isAbsent) _slash(ballotId, accounts[i], weights[i], penaltyPpm, true);
        }
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

    /// @dev Two thirds of the stake that was seated when the ballot opened.
    function _isQuorum(uint256 stakeWei, Ballot storage queried) private view returns (bool) {
        return stakeWei * 3 >= uint256(queried.snapshotStakeWei) * 2;
    }
}
