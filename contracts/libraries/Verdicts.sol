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

    /// @dev What is kept of a part: 20 bits, its ppm or, of one without a score, its kind above all ppm.
    uint256 private constant PLAIN_BITS = 20;
    uint256 private constant PER_WORD = 6;

    uint256 private constant NONE = uint256(IVerifierCommittee.VerdictKind.None);
    uint256 private constant SCORED = uint256(IVerifierCommittee.VerdictKind.Scored);
    uint256 private constant INVALID = uint256(IVerifierCommittee.VerdictKind.Invalid);
    uint256 private constant UNAVAILABLE = uint256(IVerifierCommittee.VerdictKind.Unavailable);
    uint256 private constant WITHHELD = uint256(IVerifierCommittee.VerdictKind.Withheld);
    uint256 private constant UNDECIDED = uint256(IVerifierCommittee.VerdictKind.Undecided);
    /// @dev Both kinds, and what lies above the parts.
    uint256 private constant KINDS_MASK =
        ~((PART_MASK << PART_BITS) | PART_MASK) | (255 << (KIND_SHIFT + PART_BITS)) | (255 << KIND_SHIFT);
    uint256 private constant BOTH_SCORED = (SCORED << (KIND_SHIFT + PART_BITS)) | (SCORED << KIND_SHIFT);

    /// @notice Refuses every list but the one way to write each vote.
    function check(uint256[] memory vote, uint256 entryCount) internal pure {
        if (vote.length != entryCount) revert IVerifierCommittee.WrongVerdictCount(vote.length, entryCount);
        unchecked {
            for (uint256 i = 0; i < entryCount; i++) {
                uint256 word = vote[i];
                bool isScored =
                    word & KINDS_MASK == BOTH_SCORED && _isScore(word >> PART_BITS) && _isScore(word);
                if (!isScored && !_isVerdict(word)) revert IVerifierCommittee.InvalidVerdict(i);
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
        outcome = new uint256[](entryCount);
        for (uint256 entry = 0; entry < entryCount; entry++) {
            outcome[entry] = _decide(votes, weights, total, entry);
        }
    }

    /// @notice Judges a vote by the parts that were decided with something to know: blank ones, and what is undecided,
    /// speak against nobody.
    /// @param isSame the vote is the outcome, so that the first part that matters says all
    function stance(uint256[] memory vote, uint256[] memory outcome, bool isSame)
        internal
        pure
        returns (Stance)
    {
        bool isMet;
        bool isBlank;
        for (uint256 i = 0; i < outcome.length; i++) {
            (uint256 word, uint256 decided) = (vote[i], outcome[i]);
            if (isMet && isSame) break;
            if (isMet && word == decided) continue;
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

    /// @notice Kinds and scores of an outcome without its fingerprints, six entries to a word.
    function compress(uint256[] memory outcome) internal pure returns (uint256[] memory words) {
        words = new uint256[]((outcome.length + PER_WORD - 1) / PER_WORD);
        uint256 word;
        uint256 shift;
        unchecked {
            for (uint256 i = 0; i < outcome.length; i++) {
                uint256 parts = outcome[i];
                uint256 plain = parts & KINDS_MASK == BOTH_SCORED
                    ? ((parts >> (PART_BITS + PPM_SHIFT - PLAIN_BITS)) & (PPM_MASK << PLAIN_BITS))
                        | ((parts >> PPM_SHIFT) & PPM_MASK)
                    : (_plain(parts >> PART_BITS) << PLAIN_BITS) | _plain(parts & PART_MASK);
                word |= plain << shift;
                shift += 2 * PLAIN_BITS;
                if (shift < 2 * PLAIN_BITS * PER_WORD && i + 1 != outcome.length) continue;
                words[i / PER_WORD] = word;
                (word, shift) = (0, 0);
            }
        }
    }

    /// @notice What an outcome says of one entry, without the fingerprints.
    /// @param words of the outcome, see `IVerifierCommittee.outcome`
    function verdictAt(uint256[] memory words, uint256 entry)
        internal
        pure
        returns (IVerifierCommittee.Verdict memory verdict)
    {
        uint256 plain = words[1 + entry / PER_WORD] >> (2 * PLAIN_BITS * (entry % PER_WORD));
        (verdict.test, verdict.testPpm) = _fields(plain);
        (verdict.train, verdict.trainPpm) = _fields(plain >> PLAIN_BITS);
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
        unchecked {
            uint256 kind = part >> KIND_SHIFT;
            return kind == SCORED ? part >> PPM_SHIFT & PPM_MASK : PPM + 1 + kind;
        }
    }

    function _fields(uint256 plain) private pure returns (IVerifierCommittee.VerdictKind kind, uint32 ppm) {
        plain &= 2 ** PLAIN_BITS - 1;
        if (plain <= PPM) return (IVerifierCommittee.VerdictKind.Scored, uint32(plain));
        return (IVerifierCommittee.VerdictKind(plain - PPM - 1), 0);
    }
}
