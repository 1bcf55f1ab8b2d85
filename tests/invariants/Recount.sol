// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {Roles} from "./Roles.sol";

/// @notice Counts every ballot a second time, by the definition: what each part says, and who may lose stake.
abstract contract Recount is Roles {
    uint256 internal constant NONE = uint256(IVerifierCommittee.VerdictKind.None);
    uint256 internal constant SCORED = uint256(IVerifierCommittee.VerdictKind.Scored);
    uint256 internal constant INVALID = uint256(IVerifierCommittee.VerdictKind.Invalid);
    uint256 internal constant UNAVAILABLE = uint256(IVerifierCommittee.VerdictKind.Unavailable);
    uint256 internal constant WITHHELD = uint256(IVerifierCommittee.VerdictKind.Withheld);
    uint256 internal constant UNDECIDED = uint256(IVerifierCommittee.VerdictKind.Undecided);
    uint256 private constant PART_MASK = 2 ** 96 - 1;

    /// @dev A ballot's revealed votes that count, as the recount sees them.
    struct Seen {
        address[] members;
        uint256[] weights;
        uint256[][] votes;
        bool[] isRevealed;
        bool[] isCounted;
        uint256 revealedWei;
    }

    function _isKnown(uint64 ballotId, address member) internal pure virtual returns (bool);
    function _digestOf(uint64 ballotId, address member) internal view virtual returns (bytes32);
    function _verdictsOf(uint64 ballotId, address member)
        internal
        view
        virtual
        returns (uint256[] memory words);

    /// @dev Tallies with all lists that count, by a stranger, and recounts.
    function _tally(uint64 ballotId) internal {
        Seen memory seen_ = _look(ballotId);
        uint256[] memory stakesWei = _stakesOf(ballotId);
        uint256[] memory expected = _expected(seen_, committee.ballot(ballotId).entryCount);
        uint256[][] memory lists = _lists(ballotId, seen_);
        if (_isTalliedWithout(ballotId, lists)) {
            _violate("I33: a tally went without a list that counts");
            return;
        }
        committee.tally(ballotId, lists);
        bytes32 digest = Commitments.ballot(address(committee), ballotId, expected);
        if (bytes32(committee.outcome(ballotId)[0]) != digest) {
            _violate("I33: an outcome is not what more than half of the revealed weight says");
        }
        _checkPenalties(ballotId, seen_, expected, stakesWei);
    }

    /// @dev Whether a tallier may omit the first list.
    function _isTalliedWithout(uint64 ballotId, uint256[][] memory lists) private returns (bool wasDone) {
        if (lists.length == 0) return false;
        uint256[][] memory fewer = new uint256[][](lists.length - 1);
        for (uint256 i = 0; i < fewer.length; i++) {
            fewer[i] = lists[i + 1];
        }
        bytes memory data = abi.encodeCall(IVerifierCommittee.tally, (ballotId, fewer));
        (wasDone,) = address(committee).call(data);
    }

    /// @dev Every list that a tally needs now, once.
    function _lists(uint64 ballotId, Seen memory seen_) internal view returns (uint256[][] memory lists) {
        uint256 count;
        uint256[][] memory found = new uint256[][](seen_.members.length);
        bytes32[] memory digests = new bytes32[](seen_.members.length);
        for (uint256 i = 0; i < seen_.members.length; i++) {
            if (!seen_.isCounted[i]) continue;
            bytes32 digest = committee.memberOf(ballotId, seen_.members[i]).digest;
            bool isNew = true;
            for (uint256 j = 0; j < count; j++) {
                if (digests[j] == digest) isNew = false;
            }
            if (!isNew) continue;
            digests[count] = digest;
            found[count++] = seen_.votes[i];
        }
        lists = new uint256[][](count);
        for (uint256 i = 0; i < count; i++) {
            lists[i] = found[i];
        }
    }

    /// @dev Before the deadline every revealed vote counts, after it every opened one.
    function _look(uint64 ballotId) internal view returns (Seen memory seen_) {
        bool isInTime = _nowS < committee.ballot(ballotId).deadline;
        seen_.members = committee.members(ballotId);
        uint256 count = seen_.members.length;
        (seen_.weights, seen_.votes) = (new uint256[](count), new uint256[][](count));
        (seen_.isRevealed, seen_.isCounted) = (new bool[](count), new bool[](count));
        for (uint256 i = 0; i < count; i++) {
            address member = seen_.members[i];
            bytes32 digest = committee.memberOf(ballotId, member).digest;
            seen_.weights[i] = committee.memberOf(ballotId, member).weightWei;
            seen_.isRevealed[i] = digest != bytes32(0);
            if (!seen_.isRevealed[i]) continue;
            seen_.revealedWei += seen_.weights[i];
            seen_.isCounted[i] = isInTime ? _isKnown(ballotId, member) : committee.isOpened(ballotId, digest);
            if (seen_.isCounted[i]) seen_.votes[i] = _verdictsOf(ballotId, member);
        }
    }

    function _stakesOf(uint64 ballotId) internal view returns (uint256[] memory stakesWei) {
        address[] memory members = committee.members(ballotId);
        stakesWei = new uint256[](members.length);
        for (uint256 i = 0; i < members.length; i++) {
            stakesWei[i] = committee.verifier(members[i]).stakeWei;
        }
    }

    /// @dev What this ballot has cost its members so far.
    function _penaltiesOf(uint64 ballotId) internal view returns (uint256[] memory penaltiesWei) {
        address[] memory members = committee.members(ballotId);
        penaltiesWei = new uint256[](members.length);
        for (uint256 i = 0; i < members.length; i++) {
            penaltiesWei[i] = committee.memberOf(ballotId, members[i]).penaltyWei;
        }
    }

    /// @dev After a void ballot: everybody has what it had before, and what earlier deadlines had cost it.
    function _checkReturn(uint64 ballotId, uint256[] memory before, uint256[] memory penalties) internal {
        address[] memory members = committee.members(ballotId);
        for (uint256 i = 0; i < members.length; i++) {
            if (committee.verifier(members[i]).stakeWei != before[i] + penalties[i]) {
                _violate("I38: a void ballot kept a penalty");
            }
        }
    }

    /// @dev After a reveal deadline: who committed and was silent has lost as much as for noise, or all it had.
    function _checkSilence(uint64 ballotId, uint256[] memory before) internal {
        address[] memory members = committee.members(ballotId);
        for (uint256 i = 0; i < members.length; i++) {
            IVerifierCommittee.Member memory place = committee.memberOf(ballotId, members[i]);
            bool isSilent = place.commitment != bytes32(0) && place.digest == bytes32(0);
            uint256 leastWei = isSilent ? _noiseWei(place.weightWei) : 0;
            if (leastWei > before[i]) leastWei = before[i];
            if (before[i] - committee.verifier(members[i]).stakeWei < leastWei) {
                _violate("I34: silence cost less than noise");
            }
        }
    }

    function _word(uint256 train, uint256 trainPpm, uint256 test, uint256 testPpm)
        internal
        pure
        returns (uint256)
    {
        return (_part(train, trainPpm) << 96) | _part(test, testPpm);
    }

    function _part(uint256 kind, uint256 ppm) private pure returns (uint256) {
        uint256 fingerprint = kind == SCORED ? uint64(uint256(keccak256(abi.encode(ppm)))) : 0;
        return (kind << 88) | (ppm << 64) | fingerprint;
    }

    function _expected(Seen memory seen_, uint256 entryCount)
        private
        pure
        returns (uint256[] memory expected)
    {
        expected = new uint256[](entryCount);
        for (uint256 entry = 0; entry < entryCount; entry++) {
            for (uint256 shift = 0; shift <= 96; shift += 96) {
                expected[entry] |= _majority(seen_, entry, shift) << shift;
            }
        }
    }

    function _majority(Seen memory seen_, uint256 entry, uint256 shift) private pure returns (uint256) {
        for (uint256 i = 0; i < seen_.members.length; i++) {
            if (!seen_.isCounted[i]) continue;
            uint256 part = (seen_.votes[i][entry] >> shift) & PART_MASK;
            uint256 sumWei;
            for (uint256 j = 0; j < seen_.members.length; j++) {
                if (!seen_.isCounted[j]) continue;
                if ((seen_.votes[j][entry] >> shift) & PART_MASK == part) sumWei += seen_.weights[j];
            }
            if (sumWei * 2 > seen_.revealedWei) return part;
        }
        return UNDECIDED << 88;
    }

    /// @dev Nobody loses anything unless somebody is inside; who is inside never does.
    function _checkPenalties(
        uint64 ballotId,
        Seen memory seen_,
        uint256[] memory expected,
        uint256[] memory before
    ) private {
        bool isAnyInside;
        for (uint256 i = 0; i < seen_.members.length; i++) {
            if (_isInside(seen_, i, expected)) isAnyInside = true;
        }
        for (uint256 i = 0; i < seen_.members.length; i++) {
            uint256 leftWei = committee.verifier(seen_.members[i]).stakeWei;
            uint256 backWei = isAnyInside ? 0 : committee.memberOf(ballotId, seen_.members[i]).penaltyWei;
            if (leftWei < backWei || (!isAnyInside && leftWei != before[i] + backWei)) {
                _violate("I38: a ballot that nobody was right in kept a penalty");
            }
            uint256 lostWei = isAnyInside ? before[i] - leftWei : 0;
            bool mayLose = isAnyInside && seen_.isRevealed[i] && !_isInside(seen_, i, expected);
            if (lostWei > 0 && !mayLose) _violate("I35: a tally slashed who was right, or where nobody was");
            if (mayLose && lostWei == 0 && before[i] > 0) {
                _violate("I35: a tally spared a wrong vote");
            }
            if (lostWei > _noiseWei(committee.memberOf(ballotId, seen_.members[i]).weightWei)) {
                _violate("I35: a tally slashed too much");
            }
        }
    }

    /// @dev Right about every decided part that somebody could know, and at least one of them.
    function _isInside(Seen memory seen_, uint256 member, uint256[] memory expected)
        private
        pure
        returns (bool)
    {
        if (!seen_.isCounted[member]) return false;
        bool isRight;
        for (uint256 entry = 0; entry < expected.length; entry++) {
            for (uint256 shift = 0; shift <= 96; shift += 96) {
                uint256 part = (expected[entry] >> shift) & PART_MASK;
                uint256 kind = part >> 88;
                if (kind == UNAVAILABLE || kind == WITHHELD || kind == UNDECIDED) continue;
                if ((seen_.votes[member][entry] >> shift) & PART_MASK != part) return false;
                if (kind != NONE) isRight = true;
            }
        }
        return isRight;
    }

    function _noiseWei(uint256 weightWei) private view returns (uint256) {
        return (weightWei * committee.parameters().noisePenaltyPpm + 999_999) / 1_000_000;
    }
}
