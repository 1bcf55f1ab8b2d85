// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVerifierCommittee} from "../interfaces/IVerifierCommittee.sol";
import {WeightedMedian} from "./WeightedMedian.sol";

/// @title Verdicts
/// @notice Packing, checking and judging of votes. A vote is one verdict per entry.
library Verdicts {
    uint256 internal constant PPM = 1_000_000;

    /// @dev A packed verdict: isValid, 20 bits of trainPpm, 20 bits of testPpm (10^6 < 2^20).
    uint256 private constant VERDICT_BITS = 41;
    uint256 private constant PPM_BITS = 20;
    uint256 private constant PER_WORD = 6;

    /// @notice Refuses accuracies above one, and accuracies of invalid models.
    function check(IVerifierCommittee.Verdict[] memory vote) internal pure {
        for (uint256 i = 0; i < vote.length; i++) {
            uint256 limit = vote[i].isValid ? PPM : 0;
            if (vote[i].trainPpm > limit || vote[i].testPpm > limit) {
                revert IVerifierCommittee.InvalidVerdict(i);
            }
        }
    }

    /// @notice Six verdicts to a word: storing 64 of them takes 11 words instead of 64.
    function pack(IVerifierCommittee.Verdict[] memory vote) internal pure returns (uint256[] memory words) {
        words = new uint256[]((vote.length + PER_WORD - 1) / PER_WORD);
        for (uint256 i = 0; i < vote.length; i++) {
            uint256 packed = vote[i].isValid ? uint256(1) << (2 * PPM_BITS) : 0;
            packed |= (uint256(vote[i].trainPpm) << PPM_BITS) | vote[i].testPpm;
            words[i / PER_WORD] |= packed << (VERDICT_BITS * (i % PER_WORD));
        }
    }

    function unpack(uint256[] memory words, uint256 count)
        internal
        pure
        returns (IVerifierCommittee.Verdict[] memory vote)
    {
        vote = new IVerifierCommittee.Verdict[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 packed = words[i / PER_WORD] >> (VERDICT_BITS * (i % PER_WORD));
            vote[i].isValid = (packed >> (2 * PPM_BITS)) & 1 == 1;
            vote[i].trainPpm = uint32((packed >> PPM_BITS) & (2 ** PPM_BITS - 1));
            vote[i].testPpm = uint32(packed & (2 ** PPM_BITS - 1));
        }
    }

    /// @notice The verdict on every entry: valid if more than half of the weight says so, with the lower weighted
    /// medians of what those say.
    /// @param votes votes[i] weighs weights[i]
    function medians(
        IVerifierCommittee.Verdict[][] memory votes,
        uint256[] memory weights,
        uint256 entryCount
    ) internal pure returns (IVerifierCommittee.Verdict[] memory outcome) {
        outcome = new IVerifierCommittee.Verdict[](entryCount);
        for (uint256 entry = 0; entry < entryCount; entry++) {
            outcome[entry] = _median(votes, weights, entry);
        }
    }

    /// @notice Whether a vote agrees on every entry's validity and lies within `tolerancePpm` of every median.
    function isWithin(
        IVerifierCommittee.Verdict[] memory vote,
        IVerifierCommittee.Verdict[] memory outcome,
        uint256 tolerancePpm
    ) internal pure returns (bool) {
        for (uint256 i = 0; i < outcome.length; i++) {
            if (vote[i].isValid != outcome[i].isValid) return false;
            if (_distance(vote[i].trainPpm, outcome[i].trainPpm) > tolerancePpm) return false;
            if (_distance(vote[i].testPpm, outcome[i].testPpm) > tolerancePpm) return false;
        }
        return true;
    }

    function _median(IVerifierCommittee.Verdict[][] memory votes, uint256[] memory weights, uint256 entry)
        private
        pure
        returns (IVerifierCommittee.Verdict memory verdict)
    {
        uint256[] memory trainPpms = new uint256[](votes.length);
        uint256[] memory testPpms = new uint256[](votes.length);
        // The votes that call the entry invalid weigh nothing in its medians.
        uint256[] memory validWeights = new uint256[](votes.length);
        uint256 total;
        uint256 valid;
        for (uint256 i = 0; i < votes.length; i++) {
            IVerifierCommittee.Verdict memory vote = votes[i][entry];
            total += weights[i];
            if (!vote.isValid) continue;
            valid += weights[i];
            validWeights[i] = weights[i];
            trainPpms[i] = vote.trainPpm;
            testPpms[i] = vote.testPpm;
        }
        if (valid * 2 <= total) return verdict;
        verdict.isValid = true;
        verdict.trainPpm = uint32(WeightedMedian.lower(trainPpms, validWeights));
        verdict.testPpm = uint32(WeightedMedian.lower(testPpms, validWeights));
    }

    function _distance(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : b - a;
    }
}
