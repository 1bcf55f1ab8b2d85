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
        // Filled anew for every entry: memory costs more the more is in use.
        uint256[] memory trainPairs = new uint256[](votes.length);
        uint256[] memory testPairs = new uint256[](votes.length);
        for (uint256 entry = 0; entry < entryCount; entry++) {
            if (!_pairs(votes, weights, entry, trainPairs, testPairs)) continue;
            outcome[entry].isValid = true;
            outcome[entry].trainPpm = uint32(WeightedMedian.lower(trainPairs));
            outcome[entry].testPpm = uint32(WeightedMedian.lower(testPairs));
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

    /// @dev Fills in what each vote says of one entry; the votes that call it invalid weigh nothing in its medians.
    /// @return isValid whether more than half of the weight calls the entry valid
    function _pairs(
        IVerifierCommittee.Verdict[][] memory votes,
        uint256[] memory weights,
        uint256 entry,
        uint256[] memory trainPairs,
        uint256[] memory testPairs
    ) private pure returns (bool isValid) {
        uint256 totalWeight;
        uint256 validWeight;
        for (uint256 i = 0; i < votes.length; i++) {
            IVerifierCommittee.Verdict memory verdict = votes[i][entry];
            uint256 weight = weights[i];
            totalWeight += weight;
            if (!verdict.isValid) weight = 0;
            validWeight += weight;
            trainPairs[i] = WeightedMedian.pair(verdict.trainPpm, uint128(weight));
            testPairs[i] = WeightedMedian.pair(verdict.testPpm, uint128(weight));
        }
        return validWeight * 2 > totalWeight;
    }

    function _distance(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : b - a;
    }
}
