// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVerifierCommittee} from "../interfaces/IVerifierCommittee.sol";
import {Ranking} from "../libraries/Ranking.sol";
import {Verdicts} from "../libraries/Verdicts.sol";
import {WeightedMedian} from "../libraries/WeightedMedian.sol";

/// @title VerdictHarness
/// @notice Makes the pure functions that judge votes callable. For tests only; no deployment has it.
contract VerdictHarness {
    function lowerMedian(uint128[] calldata values, uint128[] calldata weights)
        external
        pure
        returns (uint256)
    {
        uint256[] memory pairs = new uint256[](values.length);
        for (uint256 i = 0; i < pairs.length; i++) {
            pairs[i] = WeightedMedian.pair(values[i], weights[i]);
        }
        return WeightedMedian.lower(pairs);
    }

    function check(IVerifierCommittee.Verdict[] calldata vote) external pure {
        Verdicts.check(vote);
    }

    function pack(IVerifierCommittee.Verdict[] calldata vote) external pure returns (uint256[] memory words) {
        return Verdicts.pack(vote);
    }

    function unpack(uint256[] calldata words, uint256 count)
        external
        pure
        returns (IVerifierCommittee.Verdict[] memory vote)
    {
        return Verdicts.unpack(words, count);
    }

    /// @param flat the votes one after the other: ape cannot encode lists of lists of structs
    function medians(IVerifierCommittee.Verdict[] calldata flat, uint256[] calldata weights)
        external
        pure
        returns (IVerifierCommittee.Verdict[] memory outcome)
    {
        uint256 entryCount = flat.length / weights.length;
        IVerifierCommittee.Verdict[][] memory votes = new IVerifierCommittee.Verdict[][](weights.length);
        for (uint256 i = 0; i < votes.length; i++) {
            votes[i] = flat[i * entryCount:(i + 1) * entryCount];
        }
        return Verdicts.medians(votes, weights, entryCount);
    }

    function isWithin(
        IVerifierCommittee.Verdict[] calldata vote,
        IVerifierCommittee.Verdict[] calldata outcome,
        uint256 tolerancePpm
    ) external pure returns (bool) {
        return Verdicts.isWithin(vote, outcome, tolerancePpm);
    }

    function best(uint256[] calldata scores, uint256 places)
        external
        pure
        returns (uint256[] memory positions)
    {
        return Ranking.best(scores, places);
    }
}
