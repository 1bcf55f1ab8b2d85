// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {Verdicts} from "./libraries/Verdicts.sol";
import {VerifierStakes} from "./VerifierStakes.sol";

/// @title VerifierCommittee
/// @notice See the documentation in {IVerifierCommittee}.
contract VerifierCommittee is VerifierStakes {
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @dev A verifier's place in one ballot. The weight is the stake at opening; it stays when the stake is slashed.
    struct Member {
        uint96 weightWei;
        bytes32 commitment;
        uint256[] packedVote;
    }

    uint16 public constant MAX_ENTRIES = 64;

    /// @inheritdoc IVerifierCommittee
    uint64 public override nextBallotId = 1;
    mapping(uint64 ballotId => Ballot) private _ballots;
    mapping(uint64 ballotId => address[]) private _members;
    mapping(uint64 ballotId => mapping(address account => Member)) private _memberOf;
    mapping(uint64 ballotId => uint256[]) private _packedOutcomes;

    /// @param reservoir must already list this contract as an operator
    /// @param chains may open ballots; fixed for ever; may be deployed later
    constructor(IRewardReservoir reservoir, address[] memory chains, CommitteeParameters memory given)
        VerifierStakes(reservoir, chains, given)
    {}

    /// @inheritdoc IVerifierCommittee
    function openBallot(uint16 entryCount, uint32 tolerancePpm, address refundTo)
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
        opened.tolerancePpm = tolerancePpm;
        opened.phase = BallotPhase.Commit;
        opened.deadline = uint40(block.timestamp) + _parameters.voteCommitWindowS;
        opened.refundTo = refundTo;
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
        _record(voted);
        emit VoteCommitted(ballotId, msg.sender);
    }

    /// @inheritdoc IVerifierCommittee
    function revealVote(uint64 ballotId, Verdict[] calldata verdicts, bytes32 salt) external override {
        // Check: in time, committed, not yet revealed, and what was committed to.
        Ballot storage voted = _ballots[ballotId];
        _checkOpen(ballotId, voted, BallotPhase.Reveal);
        Member storage member = _memberOf[ballotId][msg.sender];
        if (member.commitment == bytes32(0)) revert NotCommitted(ballotId, msg.sender);
        if (member.packedVote.length != 0) revert AlreadyRevealed(ballotId, msg.sender);
        if (verdicts.length != voted.entryCount) revert WrongVerdictCount(verdicts.length, voted.entryCount);
        Verdict[] memory vote = verdicts;
        Verdicts.check(vote);
        bytes32 actual = Commitments.vote(address(this), ballotId, msg.sender, vote, salt);
        if (actual != member.commitment) revert CommitmentMismatch(member.commitment, actual);

        // Effect: count it.
        member.packedVote = Verdicts.pack(vote);
        voted.revealedCount++;
        voted.revealedStakeWei += member.weightWei;
        _record(voted);
        emit VoteRevealed(ballotId, msg.sender, verdicts);
    }

    /// @inheritdoc IVerifierCommittee
    function advance(uint64 ballotId) external override returns (BallotPhase phase) {
        Ballot storage advanced = _ballots[ballotId];
        if (!_isDue(advanced)) revert NotDue(ballotId, advanced.phase, advanced.deadline);
        if (advanced.phase == BallotPhase.Commit) {
            _endCommit(ballotId, advanced);
        } else {
            _endReveal(ballotId, advanced);
        }
        return advanced.phase;
    }

    /// @inheritdoc IVerifierCommittee
    function ballot(uint64 ballotId) external view override returns (Ballot memory) {
        return _ballots[ballotId];
    }

    /// @inheritdoc IVerifierCommittee
    function members(uint64 ballotId) external view override returns (address[] memory) {
        return _members[ballotId];
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
    function votes(uint64 ballotId, address account) external view override returns (Verdict[] memory) {
        return _unpack(ballotId, _memberOf[ballotId][account].packedVote);
    }

    /// @inheritdoc IVerifierCommittee
    function outcome(uint64 ballotId) external view override returns (Verdict[] memory) {
        return _unpack(ballotId, _packedOutcomes[ballotId]);
    }

    /// @inheritdoc IVerifierCommittee
    function isDue(uint64 ballotId) external view override returns (bool) {
        return _isDue(_ballots[ballotId]);
    }

    function _snapshot(uint64 ballotId, Ballot storage opened) private {
        address[] memory accounts = _seated.values();
        uint256 totalWei;
        for (uint256 i = 0; i < accounts.length; i++) {
            Verifier storage seat = _verifiers[accounts[i]];
            seat.openBallots++;
            _memberOf[ballotId][accounts[i]].weightWei = uint96(seat.stakeWei);
            totalWei += seat.stakeWei;
        }
        _members[ballotId] = accounts;
        opened.memberCount = uint16(accounts.length);
        opened.snapshotStakeWei = uint128(totalWei);
    }

    /// @dev Ballots keep a hash chain over the votes, in the order of the transactions, for the block's body.
    function _record(Ballot storage voted) private {
        voted.transcript = keccak256(abi.encode(voted.transcript, msg.sender, keccak256(msg.data)));
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
            _close(ballotId, ending);
        } else {
            _extendOrVoid(ballotId, ending, _parameters.voteRevealWindowS);
        }
    }

    function _extendOrVoid(uint64 ballotId, Ballot storage ending, uint32 windowS) private {
        if (ending.extensions == _parameters.maxExtensions) {
            _enter(ballotId, ending, BallotPhase.Void, 0);
            _release(ballotId);
            _sharePenalties(ballotId, _members[ballotId], _weights(ballotId));
            _refund(ballotId, ending.refundTo);
            return;
        }
        ending.extensions++;
        ending.deadline = uint40(block.timestamp) + windowS;
        emit BallotExtended(ballotId, ending.extensions, ending.deadline);
    }

    function _enter(uint64 ballotId, Ballot storage entering, BallotPhase phase, uint32 windowS) private {
        entering.phase = phase;
        entering.deadline = windowS == 0 ? 0 : uint40(block.timestamp) + windowS;
        emit BallotPhaseChanged(ballotId, phase, entering.deadline);
    }

    /// @dev Medians, then penalties, then what fee and penalties make together goes to those inside the tolerance.
    // slither-disable-next-line reentrancy-events,reentrancy-no-eth: it calls our own contracts, which call nobody back
    function _close(uint64 ballotId, Ballot storage closing) private {
        (address[] memory voters, uint256[] memory weights, Verdict[][] memory cast) =
            _revealedVotes(ballotId, closing);
        Verdict[] memory medians = Verdicts.medians(cast, weights, closing.entryCount);
        _packedOutcomes[ballotId] = Verdicts.pack(medians);
        _enter(ballotId, closing, BallotPhase.Closed, 0);

        uint256 insideCount;
        uint256 noisePenaltyPpm = _parameters.noisePenaltyPpm;
        for (uint256 i = 0; i < voters.length; i++) {
            if (Verdicts.isWithin(cast[i], medians, closing.tolerancePpm)) {
                insideCount++;
            } else {
                _slash(ballotId, voters[i], weights[i], noisePenaltyPpm, false);
                weights[i] = 0;
            }
        }
        _release(ballotId);
        if (insideCount == 0) {
            _refund(ballotId, closing.refundTo);
        } else {
            bytes32 account = _ballotAccount(ballotId);
            _share(ballotId, account, _escrowWei(account), voters, weights);
        }
    }

    /// @dev Members lose their obligation to this ballot; their stakes may leave again.
    function _release(uint64 ballotId) private {
        address[] memory accounts = _members[ballotId];
        for (uint256 i = 0; i < accounts.length; i++) {
            _verifiers[accounts[i]].openBallots--;
        }
    }

    function _slashAbsent(uint64 ballotId, BallotPhase phase) private {
        address[] memory accounts = _members[ballotId];
        uint256 penaltyPpm = _parameters.absencePenaltyPpm;
        for (uint256 i = 0; i < accounts.length; i++) {
            Member storage member = _memberOf[ballotId][accounts[i]];
            bool hasCommitted = member.commitment != bytes32(0);
            bool isAbsent =
                phase == BallotPhase.Commit ? !hasCommitted : hasCommitted && member.packedVote.length == 0;
            if (isAbsent) _slash(ballotId, accounts[i], member.weightWei, penaltyPpm, true);
        }
    }

    function _revealedVotes(uint64 ballotId, Ballot storage closing)
        private
        view
        returns (address[] memory voters, uint256[] memory weights, Verdict[][] memory cast)
    {
        address[] memory accounts = _members[ballotId];
        voters = new address[](closing.revealedCount);
        weights = new uint256[](voters.length);
        cast = new Verdict[][](voters.length);
        uint256 count;
        for (uint256 i = 0; i < accounts.length; i++) {
            Member storage member = _memberOf[ballotId][accounts[i]];
            if (member.packedVote.length == 0) continue;
            voters[count] = accounts[i];
            weights[count] = member.weightWei;
            cast[count] = Verdicts.unpack(member.packedVote, closing.entryCount);
            count++;
        }
    }

    function _weights(uint64 ballotId) private view returns (uint256[] memory weights) {
        address[] memory accounts = _members[ballotId];
        weights = new uint256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) {
            weights[i] = _memberOf[ballotId][accounts[i]].weightWei;
        }
    }

    function _unpack(uint64 ballotId, uint256[] memory words) private view returns (Verdict[] memory) {
        return Verdicts.unpack(words, words.length == 0 ? 0 : _ballots[ballotId].entryCount);
    }

    function _checkOpen(uint64 ballotId, Ballot storage voted, BallotPhase needed) private view {
        if (voted.phase != needed) revert WrongBallotPhase(ballotId, voted.phase, needed);
        if (block.timestamp >= voted.deadline) revert DeadlinePassed(ballotId, voted.deadline);
    }

    function _isDue(Ballot storage queried) private view returns (bool) {
        if (queried.phase == BallotPhase.Commit) {
            return queried.committedCount == queried.memberCount || block.timestamp >= queried.deadline;
        }
        if (queried.phase == BallotPhase.Reveal) {
            return queried.revealedCount == queried.committedCount || block.timestamp >= queried.deadline;
        }
        return false;
    }

    /// @dev Two thirds of the stake that was seated when the ballot opened.
    function _isQuorum(uint256 stakeWei, Ballot storage queried) private view returns (bool) {
        return stakeWei * 3 >= uint256(queried.snapshotStakeWei) * 2;
    }
}
