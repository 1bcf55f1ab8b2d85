// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVerifierCommittee} from "../interfaces/IVerifierCommittee.sol";
import {Majority} from "./Majority.sol";

/// @title Verdicts
/// @notice Checking, counting and judging of votes. A vote is a list of one word per entry: its two parts of 96 bits,
/// train above test. A part is 8 bits of kind, 24 bits of ppm and a fingerprint of 64 bits.
library Verdicts {
    /// @notice How a vote stands to an outcome. `Neutral`: nothing was decided that a vote could meet or miss. `Blank`:
    /// where it differs, it says that something could not be had. `Noise`: it says something else.
    enum Stance {
        Neutral,
        Inside,
        Blank,
        Noise
    }

    uint256 private constant PPM = 1_000_000;
    uint256 private constant PART_BITS = 96;
    uint256 private constant PART_MASK = 2 ** PART_BITS - 1;
    uint256 private constant KIND_SHIFT = 88;
    uint256 private constant PPM_SHIFT = 64;
    uint256 private constant PPM_MASK = 2 ** 24 - 1;

    /// @dev What is kept of a part: 4 bits of kind, 20 bits of ppm (10^6 < 2^20).
    uint256 private constant PLAIN_BITS = 24;
    uint256 private constant PER_WORD = 5;

    uint256 private constant NONE = uint256(IVerifierCommittee.VerdictKind.None);
    uint256 private constant SCORED = uint256(IVerifierCommittee.VerdictKind.Scored);
    uint256 private constant INVALID = uint256(IVerifierCommittee.VerdictKind.Invalid);
    uint256 private constant UNAVAILABLE = uint256(IVerifierCommittee.VerdictKind.Unavailable);
    uint256 private constant WITHHELD = uint256(IVerifierCommittee.VerdictKind.Withheld);
    uint256 private constant UNDECIDED = uint256(IVerifierCommittee.VerdictKind.Undecided);

    /// @notice Refuses every list but the one way to write each vote.
    function check(uint256[] memory vote, uint256 entryCount) internal pure {
        if (vote.length != entryCount) revert IVerifierCommittee.WrongVerdictCount(vote.length, entryCount);
        unchecked {
            for (uint256 i = 0; i < entryCount; i++) {
                if (!_isVerdict(vote[i])) revert IVerifierCommittee.InvalidVerdict(i);
            }
        }
    }

    /// @notice The verdict on both parts of every entry: what more than half of `total` says, else `Undecided`.
    /// @param votes votes[i] weighs weights[i]
    /// @param total all revealed weight, known votes or not
    function decide(uint256[][] memory votes, uint256[] memory weights, uint256 total, uint256 entryCount)
        internal
        pure
        returns (uint256[] memory outcome)
    {
        // A vote that holds the majority alone decides everything.
        for (uint256 i = 0; i < votes.length; i++) {
            if (Majority.isDecided(weights[i], total)) return votes[i];
        }
        outcome = new uint256[](entryCount);
        for (uint256 entry = 0; entry < entryCount; entry++) {
            outcome[entry] = _decide(votes, weights, total, entry);
        }
    }

    /// @notice Judges a vote by the parts that were decided with something to know: blank ones, and what is undecided,
    /// speak against nobody.
    function stance(uint256[] memory vote, uint256[] memory outcome) internal pure returns (Stance) {
        bool isMet;
        bool isBlank;
        for (uint256 i = 0; i < outcome.length; i++) {
            (uint256 word, uint256 decided) = (vote[i], outcome[i]);
            if (word == decided && isMet) continue;
            for (uint256 shift = 0; shift <= PART_BITS; shift += PART_BITS) {
                uint256 part = (decided >> shift) & PART_MASK;
                uint256 kind = part >> KIND_SHIFT;
                if (kind >= UNAVAILABLE) continue;
                uint256 given = (word >> shift) & PART_MASK;
                if (given == part) isMet = isMet || kind != NONE;
                else if (given >> KIND_SHIFT >= UNAVAILABLE) isBlank = true;
                else return Stance.Noise;
            }
        }
        if (isBlank) return Stance.Blank;
        return isMet ? Stance.Inside : Stance.Neutral;
    }

    /// @notice Kinds and scores of an outcome without its fingerprints, five entries to a word.
    function compress(uint256[] memory outcome) internal pure returns (uint256[] memory words) {
        words = new uint256[]((outcome.length + PER_WORD - 1) / PER_WORD);
        unchecked {
            for (uint256 i = 0; i < outcome.length; i++) {
                uint256 part = outcome[i];
                uint256 plain = (_plain(part >> PART_BITS) << PLAIN_BITS) | _plain(part & PART_MASK);
                words[i / PER_WORD] |= plain << (2 * PLAIN_BITS * (i % PER_WORD));
            }
        }
    }

    function expand(uint256[] memory words, uint256 entryCount)
        internal
        pure
        returns (IVerifierCommittee.Verdict[] memory verdicts)
    {
        verdicts = new IVerifierCommittee.Verdict[](entryCount);
        for (uint256 i = 0; i < entryCount; i++) {
            uint256 plain = words[i / PER_WORD] >> (2 * PLAIN_BITS * (i % PER_WORD));
            (verdicts[i].test, verdicts[i].testPpm) = _fields(plain);
            (verdicts[i].train, verdicts[i].trainPpm) = _fields(plain >> PLAIN_BITS);
        }
    }

    /// @dev Both parts in the same two runs over the votes; nothing can overflow, see `Majority`.
    function _decide(uint256[][] memory votes, uint256[] memory weights, uint256 total, uint256 entry)
        private
        pure
        returns (uint256)
    {
        (uint256 train, uint256 test) = _leaders(votes, weights, entry);
        uint256 trainSupport;
        uint256 testSupport;
        unchecked {
            for (uint256 i = 0; i < votes.length; i++) {
                uint256 word = votes[i][entry];
                if (word >> PART_BITS == train) trainSupport += weights[i];
                if (word & PART_MASK == test) testSupport += weights[i];
            }
        }
        if (!Majority.isDecided(trainSupport, total)) train = UNDECIDED << KIND_SHIFT;
        if (!Majority.isDecided(testSupport, total)) test = UNDECIDED << KIND_SHIFT;
        return (train << PART_BITS) | test;
    }

    function _leaders(uint256[][] memory votes, uint256[] memory weights, uint256 entry)
        private
        pure
        returns (uint256 train, uint256 test)
    {
        uint256 trainLead;
        uint256 testLead;
        unchecked {
            for (uint256 i = 0; i < votes.length; i++) {
                uint256 word = votes[i][entry];
                uint256 weight = weights[i];
                (train, trainLead) = Majority.count(train, trainLead, word >> PART_BITS, weight);
                (test, testLead) = Majority.count(test, testLead, word & PART_MASK, weight);
            }
        }
    }

    function _isVerdict(uint256 word) private pure returns (bool) {
        (uint256 train, uint256 test) = (word >> PART_BITS, word & PART_MASK);
        (uint256 trainKind, uint256 testKind) = (train >> KIND_SHIFT, test >> KIND_SHIFT);
        if (trainKind == SCORED && testKind == SCORED) return _isScore(train) && _isScore(test);
        if (trainKind == NONE || trainKind > WITHHELD || testKind > WITHHELD || testKind == INVALID) {
            return false;
        }
        if (trainKind == INVALID && testKind != NONE) return false;
        return _isCanonical(train, trainKind) && _isCanonical(test, testKind);
    }

    /// @dev Only a score has a number and a fingerprint.
    function _isCanonical(uint256 part, uint256 kind) private pure returns (bool) {
        return kind == SCORED ? _isScore(part) : part == kind << KIND_SHIFT;
    }

    function _isScore(uint256 part) private pure returns (bool) {
        return (part >> PPM_SHIFT) & PPM_MASK <= PPM;
    }

    function _plain(uint256 part) private pure returns (uint256) {
        return ((part >> KIND_SHIFT) << 20) | ((part >> PPM_SHIFT) & PPM_MASK);
    }

    function _fields(uint256 plain) private pure returns (IVerifierCommittee.VerdictKind kind, uint32 ppm) {
        kind = IVerifierCommittee.VerdictKind((plain >> 20) & 15);
        ppm = uint32(plain & (2 ** 20 - 1));
    }
}
