// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IVerifierCommittee} from "../interfaces/IVerifierCommittee.sol";
import {Majority} from "../libraries/Majority.sol";
import {Ranking} from "../libraries/Ranking.sol";
import {Verdicts} from "../libraries/Verdicts.sol";

/// @title VerdictHarness
/// @notice Makes the pure functions that judge votes callable. For tests only; no deployment has it.
contract VerdictHarness {
    function majority(uint256[] calldata values, uint256[] calldata weights, uint256 total)
        external
        pure
        returns (bool isDecided, uint256 value)
    {
        uint256 lead;
        for (uint256 i = 0; i < values.length; i++) {
            (value, lead) = Majority.count(value, lead, values[i], weights[i]);
        }
        uint256 support;
        for (uint256 i = 0; i < values.length; i++) {
            if (values[i] == value) support += weights[i];
        }
        return (Majority.isDecided(support, total), value);
    }

    function check(uint256[] calldata vote, uint256 entryCount) external pure {
        Verdicts.check(vote, entryCount);
    }

    function decide(uint256[][] calldata votes, uint256[] calldata weights, uint256 total, uint256 entryCount)
        external
        pure
        returns (uint256[] memory outcome)
    {
        return Verdicts.decide(votes, weights, total, entryCount);
    }

    function stance(uint256[] calldata vote, uint256[] calldata outcome)
        external
        pure
        returns (Verdicts.Stance)
    {
        bool isSame = keccak256(abi.encode(vote)) == keccak256(abi.encode(outcome));
        return Verdicts.stance(vote, outcome, isSame);
    }

    function compress(uint256[] calldata outcome) external pure returns (uint256[] memory words) {
        return Verdicts.compress(outcome);
    }

    /// @param words as `compress` gives them
    function expand(uint256[] calldata words, uint256 entryCount)
        external
        pure
        returns (IVerifierCommittee.Verdict[] memory verdicts)
    {
        uint256[] memory outcome = new uint256[](1 + words.length);
        for (uint256 i = 0; i < words.length; i++) {
            outcome[1 + i] = words[i];
        }
        verdicts = new IVerifierCommittee.Verdict[](entryCount);
        for (uint256 i = 0; i < entryCount; i++) {
            verdicts[i] = Verdicts.verdictAt(outcome, i);
        }
    }

    function best(uint256[] calldata scores, uint256 places)
        external
        pure
        returns (uint256[] memory positions)
    {
        return Ranking.best(scores, places);
    }
}
