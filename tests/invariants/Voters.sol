// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "../../contracts/libraries/Cids.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {Recount} from "./Recount.sol";
import {VM} from "./Vm.sol";

/// @notice How verifiers vote. Most tell the truth; content comes late for some, some guess, hide or say that nothing
/// could be had, and some reveal a digest that nobody can open. What each does is a hash of ballot and member.
abstract contract Voters is Recount {
    uint256 private constant LIAR = 0;
    uint256 private constant GUESSER = 1;
    uint256 private constant BLANK = 2;
    uint256 private constant UNKNOWN = 3;
    uint256 private constant SILENT = 4;

    uint256 private constant TEST_SET_IS_LATE = 0;
    uint256 private constant MODEL_IS_LATE = 1;
    uint256 private constant DATA_ARE_LATE = 2;
    uint256 private constant CLASSES = 3;
    uint256 private constant EVERYBODY_MISSES_ANOTHER = 4;

    /// @dev The first member from a random one on that has not yet acted in the ballot's phase; if all have who will,
    /// the phase ends.
    function _vote(uint64 ballotId, uint256 seed) internal {
        IVerifierCommittee.BallotPhase phase = committee.ballot(ballotId).phase;
        if (phase == IVerifierCommittee.BallotPhase.Opening && _dice("opening", ballotId) % 4 == 0) {
            if (_isEverybodyKnown(ballotId)) {
                _tally(ballotId);
                return;
            }
        }
        address[] memory members = committee.members(ballotId);
        if (members.length == 0) _violate("I37: a ballot without members");
        for (uint256 i = 0; i < members.length; i++) {
            if (_act(ballotId, members[(seed % members.length + i) % members.length], phase)) return;
        }
        uint256 deadline = committee.ballot(ballotId).deadline;
        if (deadline > _nowS) _pass(deadline - _nowS);
        _endBallotPhase(ballotId);
    }

    /// @dev Ends a phase that is due; where all votes are known, some tally at once.
    function _endBallotPhase(uint64 ballotId) internal {
        IVerifierCommittee.Ballot memory ballot = committee.ballot(ballotId);
        if (ballot.phase == IVerifierCommittee.BallotPhase.Opening) {
            _tally(ballotId);
            return;
        }
        bool isInTime = _nowS < ballot.deadline;
        bool isReveal = ballot.phase == IVerifierCommittee.BallotPhase.Reveal;
        if (isReveal && isInTime && _dice("at once", ballotId) % 4 == 0 && _isEverybodyKnown(ballotId)) {
            _tally(ballotId);
            return;
        }
        uint256[] memory before = _stakesOf(ballotId);
        uint256[] memory penalties = _penaltiesOf(ballotId);
        committee.advance(ballotId);
        if (committee.ballot(ballotId).phase == IVerifierCommittee.BallotPhase.Void) {
            _checkReturn(ballotId, before, penalties);
        } else if (isReveal) {
            _checkSilence(ballotId, before);
        }
    }

    function _act(uint64 ballotId, address member, IVerifierCommittee.BallotPhase phase)
        private
        returns (bool hasActed)
    {
        IVerifierCommittee.Member memory place = committee.memberOf(ballotId, member);
        bytes32 commitment = place.commitment;
        bytes32 revealed = place.digest;
        bytes32 digest = _digestOf(ballotId, member);
        bytes32 salt = _saltOf(ballotId, member);
        if (phase == IVerifierCommittee.BallotPhase.Commit) {
            if (commitment != bytes32(0)) return false;
            bytes32 hashed = Commitments.vote(address(committee), ballotId, member, digest, salt);
            VM.prank(_handOf(member));
            committee.commitVote(ballotId, place.index, hashed);
        } else if (phase == IVerifierCommittee.BallotPhase.Reveal) {
            bool isDone = commitment == bytes32(0) || revealed != bytes32(0);
            if (isDone || _mood(ballotId, member) == SILENT) return false;
            VM.prank(_handOf(member));
            committee.revealVote(ballotId, place.index, digest, salt, Cid(0, 0));
        } else {
            if (revealed == bytes32(0) || committee.isOpened(ballotId, digest)) return false;
            if (!_isKnown(ballotId, member) || _dice("opens", ballotId, member) % 4 == 0) return false;
            VM.prank(_stranger());
            committee.openVote(ballotId, place.index, _verdictsOf(ballotId, member));
        }
        return true;
    }

    /// @dev Some have another account vote for them.
    function _handOf(address member) internal view returns (address) {
        address voter = committee.verifier(member).voter;
        return voter == address(0) ? member : voter;
    }

    function _mood(uint64 ballotId, address member) private pure returns (uint256) {
        return _dice("mood", ballotId, member) % 24;
    }

    function _isKnown(uint64 ballotId, address member) internal pure override returns (bool) {
        return _mood(ballotId, member) != UNKNOWN;
    }

    function _digestOf(uint64 ballotId, address member) internal view override returns (bytes32) {
        if (!_isKnown(ballotId, member)) return keccak256(abi.encode("unknown", ballotId, member));
        return Commitments.ballot(address(committee), ballotId, _verdictsOf(ballotId, member));
    }

    /// @dev One in eight models is bad; in one ballot of four there is nothing to test.
    function _verdictsOf(uint64 ballotId, address member)
        internal
        view
        override
        returns (uint256[] memory words)
    {
        words = new uint256[](committee.ballot(ballotId).entryCount);
        uint256 mood = _mood(ballotId, member);
        bool isTested = _dice("tested", ballotId) % 4 != 0;
        for (uint256 i = 0; i < words.length; i++) {
            uint256 truth = uint256(keccak256(abi.encode("truth", ballotId, i)));
            if (mood == GUESSER) truth = _dice("guess", ballotId, member);
            if (mood == BLANK) words[i] = _word(UNAVAILABLE, 0, UNAVAILABLE, 0);
            else if (mood == LIAR || truth % 8 == 0) words[i] = _word(INVALID, 0, NONE, 0);
            else words[i] = _seen(ballotId, member, i, truth, isTested);
        }
    }

    /// @dev What a member finds that judges, on a good model.
    function _seen(uint64 ballotId, address member, uint256 entry, uint256 truth, bool isTested)
        private
        view
        returns (uint256)
    {
        uint256 trouble = _dice("trouble", ballotId) % 12;
        uint256 luck = _dice("luck", ballotId, member);
        // Late for about a third, a half, or most.
        bool isLate = luck % 12 < 4 + 2 * (_dice("late", ballotId) % 3);
        uint256 trainPpm = 750_000 + (truth >> 8) % 200_000;
        uint256 testPpm = 500_000 + (truth >> 64) % 400_000;
        if (trouble == DATA_ARE_LATE && isLate) return _word(WITHHELD, 0, WITHHELD, 0);
        if (trouble == MODEL_IS_LATE && isLate && entry == 0) return _word(UNAVAILABLE, 0, UNAVAILABLE, 0);
        if (
            trouble == EVERYBODY_MISSES_ANOTHER
                && committee.members(ballotId)[entry % 5 % committee.members(ballotId).length] == member
        ) return _word(UNAVAILABLE, 0, UNAVAILABLE, 0);
        if (trouble == CLASSES) trainPpm += luck % (3 + _dice("classes", ballotId) % 3);
        if (!isTested) return _word(SCORED, trainPpm, NONE, 0);
        if (trouble == TEST_SET_IS_LATE && isLate) return _word(SCORED, trainPpm, WITHHELD, 0);
        return _word(SCORED, trainPpm, SCORED, testPpm);
    }

    function _isEverybodyKnown(uint64 ballotId) private view returns (bool) {
        address[] memory members = committee.members(ballotId);
        for (uint256 i = 0; i < members.length; i++) {
            bool isRevealed = committee.memberOf(ballotId, members[i]).digest != bytes32(0);
            if (isRevealed && !_isKnown(ballotId, members[i])) return false;
        }
        return true;
    }

    function _dice(string memory what, uint64 ballotId) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(what, ballotId)));
    }

    function _dice(string memory what, uint64 ballotId, address member) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(what, ballotId, member)));
    }
}
