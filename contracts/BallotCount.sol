// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {Majority} from "./libraries/Majority.sol";
import {Outcomes} from "./libraries/Outcomes.sol";
import {Verdicts} from "./libraries/Verdicts.sol";
import {VerifierStakes} from "./VerifierStakes.sol";

/// @title BallotCount
/// @notice How ballots are counted, and what their members gain and lose by it. See {IVerifierCommittee}.
abstract contract BallotCount is VerifierStakes {
    /// @dev What a member did. Its weight is the stake when the ballot's members were fixed; it stays when it is slashed.
    struct Voting {
        bytes32 commitment;
        bytes32 digest;
        uint256 penaltyWei;
    }

    /// @dev A ballot as its tally sees it.
    /// @param choices of each member: 0 if it did not reveal, `UNKNOWN` if nobody opened its digest, else the position of
    /// its list plus one
    /// @param support of each list, and its digest
    struct Count {
        address[] members;
        uint256[] weights;
        uint256[] choices;
        uint256[] support;
        bytes32[] digests;
    }

    uint256 internal constant UNKNOWN = type(uint256).max;
    uint256 internal constant WEIGHT_SHIFT = 160;

    mapping(uint64 ballotId => Ballot) internal _ballots;
    /// @dev Address and weight of each member in one word, the weight above the address.
    mapping(uint64 ballotId => mapping(uint256 index => uint256 word)) internal _members;
    mapping(uint64 ballotId => mapping(uint256 index => Voting)) internal _votings;
    uint64[] internal _openBallots;
    /// @inheritdoc IVerifierCommittee
    mapping(uint64 ballotId => mapping(bytes32 digest => bool)) public override isOpened;
    /// @dev Of all ballots that have not ended.
    uint32 internal _openEntries;

    /// @inheritdoc IVerifierCommittee
    function outcome(uint64 ballotId) external view override returns (uint256[] memory words) {
        return Outcomes.read(_ballots[ballotId].outcomeCode);
    }

    function _enter(uint64 ballotId, Ballot storage entering, BallotPhase phase, uint32 windowS) internal {
        entering.phase = phase;
        entering.deadline = windowS == 0 ? 0 : uint40(block.timestamp) + windowS;
        emit BallotPhaseChanged(ballotId, phase, entering.deadline);
    }

    /// @dev What was decided, then penalties, then what fee and penalties make together goes to those inside.
    function _close(uint64 ballotId, Ballot storage closing, uint256[][] memory lists) internal {
        Count memory count = _count(ballotId, closing, lists);
        (uint256[] memory decided, bytes32 digest) = _decide(ballotId, closing, lists, count);
        closing.outcomeCode = Outcomes.keep(digest, decided);
        emit BallotTallied(ballotId, digest, decided);
        _enter(ballotId, closing, BallotPhase.Closed, 0);
        Verdicts.Stance[] memory stances = new Verdicts.Stance[](lists.length);
        for (uint256 i = 0; i < stances.length; i++) {
            stances[i] = Verdicts.stance(lists[i], decided, count.digests[i] == digest);
        }
        _settle(ballotId, closing, count, stances);
    }

    /// @dev A vote that holds the majority alone decides everything, as it would part by part.
    function _decide(uint64 ballotId, Ballot storage closing, uint256[][] memory lists, Count memory count)
        private
        view
        returns (uint256[] memory decided, bytes32 digest)
    {
        uint256 totalWei = closing.revealedStakeWei;
        for (uint256 i = 0; i < lists.length; i++) {
            if (Majority.isDecided(count.support[i], totalWei)) return (lists[i], count.digests[i]);
        }
        decided = Verdicts.decide(lists, count.support, totalWei, closing.entryCount);
        digest = Commitments.ballot(address(this), ballotId, decided);
    }

    /// @dev Where nobody is inside, nothing was decided that a single member knew: nobody is slashed then.
    function _settle(
        uint64 ballotId,
        Ballot storage settled,
        Count memory count,
        Verdicts.Stance[] memory stances
    ) private {
        _release(ballotId);
        address[] memory accounts = count.members;
        bool isAnyInside;
        for (uint256 i = 0; i < stances.length; i++) {
            if (stances[i] == Verdicts.Stance.Inside) isAnyInside = true;
        }
        if (!isAnyInside) {
            _giveBack(ballotId, settled);
            return;
        }
        _collect(ballotId, _slashOutside(ballotId, count, stances));
        bytes32 account = _ballotAccount(ballotId);
        _share(account, _escrowWei(account), accounts, count.weights);
    }

    /// @dev Takes the weight of everybody who is not inside, and what it costs them.
    /// @return totalWei of the penalties
    function _slashOutside(uint64 ballotId, Count memory count, Verdicts.Stance[] memory stances)
        private
        returns (uint256 totalWei)
    {
        uint256[] memory weights = count.weights;
        for (uint256 i = 0; i < weights.length; i++) {
            uint256 choice = count.choices[i];
            if (choice == 0) {
                weights[i] = 0;
                continue;
            }
            Verdicts.Stance stance = choice == UNKNOWN ? Verdicts.Stance.Noise : stances[choice - 1];
            if (stance == Verdicts.Stance.Inside) continue;
            Fault fault = stance == Verdicts.Stance.Blank ? Fault.Lacking : Fault.Noise;
            totalWei += _slash(ballotId, count.members[i], weights[i], fault);
            weights[i] = 0;
        }
    }

    /// @dev Penalties return to the stakes they were taken from, what the chain paid in to the chain.
    function _giveBack(uint64 ballotId, Ballot storage ended) internal {
        uint256 totalWei;
        for (uint256 i = 0; i < ended.memberCount; i++) {
            uint256 amountWei = _votings[ballotId][i].penaltyWei;
            if (amountWei == 0) continue;
            totalWei += amountWei;
            _restore(ballotId, address(uint160(_members[ballotId][i])), amountWei);
        }
        _uncollect(ballotId, totalWei);
        _refund(ballotId, ended.chain, ended.refundAccount);
    }

    /// @dev Members lose their obligation to this ballot; their stakes may leave again. Few are open at a time.
    function _release(uint64 ballotId) internal {
        uint256 last = _openBallots.length - 1;
        for (uint256 i = 0; i < last; i++) {
            if (_openBallots[i] == ballotId) _openBallots[i] = _openBallots[last];
        }
        _openBallots.pop();
        _openEntries -= _ballots[ballotId].entryCount;
    }

    function _openBallotsOf(address account) internal view override returns (uint16 count) {
        uint256 length = _openBallots.length;
        for (uint256 i = 0; i < length; i++) {
            if (_indexOf(_openBallots[i], account) != UNKNOWN) count++;
        }
    }

    /// @dev Which list each member chose. Nobody can leave one out: before the deadline every revealed digest needs its
    /// list, after it every opened one, and no other counts.
    function _count(uint64 ballotId, Ballot storage counted, uint256[][] memory lists)
        private
        view
        returns (Count memory count)
    {
        bool isInTime = block.timestamp < counted.deadline;
        bytes32[] memory digests = _digests(ballotId, counted.entryCount, lists, isInTime);
        count.digests = digests;
        count.support = new uint256[](lists.length);
        (count.members, count.weights) = _membersOf(ballotId);
        count.choices = new uint256[](count.members.length);
        mapping(uint256 index => Voting) storage votings = _votings[ballotId];
        for (uint256 i = 0; i < count.members.length; i++) {
            bytes32 digest = votings[i].digest;
            if (digest == bytes32(0)) continue;
            uint256 choice = _positionOf(digests, digest);
            count.choices[i] = choice;
            if (choice != UNKNOWN) count.support[choice - 1] += count.weights[i];
            else if (isInTime || isOpened[ballotId][digest]) revert MissingList(ballotId, digest);
        }
        for (uint256 i = 0; i < digests.length; i++) {
            if (count.support[i] == 0) revert UncountedList(ballotId, digests[i]);
        }
    }

    /// @dev Lists that were opened have been checked.
    function _digests(uint64 ballotId, uint256 entryCount, uint256[][] memory lists, bool isInTime)
        private
        view
        returns (bytes32[] memory digests)
    {
        digests = new bytes32[](lists.length);
        for (uint256 i = 0; i < lists.length; i++) {
            bytes32 digest = Commitments.ballot(address(this), ballotId, lists[i]);
            digests[i] = digest;
            if (isOpened[ballotId][digest]) continue;
            if (!isInTime) revert UncountedList(ballotId, digest);
            Verdicts.check(lists[i], entryCount);
        }
    }

    function _membersOf(uint64 ballotId)
        internal
        view
        returns (address[] memory accounts, uint256[] memory weights)
    {
        accounts = new address[](_ballots[ballotId].memberCount);
        weights = new uint256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) {
            uint256 word = _members[ballotId][i];
            (accounts[i], weights[i]) = (address(uint160(word)), word >> WEIGHT_SHIFT);
        }
    }

    /// @return index `UNKNOWN` if it is no member
    function _indexOf(uint64 ballotId, address account) internal view returns (uint256 index) {
        uint256 count = _ballots[ballotId].memberCount;
        for (index = 0; index < count; index++) {
            if (address(uint160(_members[ballotId][index])) == account) return index;
        }
        return UNKNOWN;
    }

    /// @return choice the position plus one; `UNKNOWN` if it is not among them
    function _positionOf(bytes32[] memory digests, bytes32 digest) private pure returns (uint256 choice) {
        for (uint256 i = 0; i < digests.length; i++) {
            if (digests[i] == digest) return i + 1;
        }
        return UNKNOWN;
    }
}
