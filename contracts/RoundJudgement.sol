// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Entry} from "./libraries/Entries.sol";
import {Outcomes} from "./libraries/Outcomes.sol";
import {Verdicts} from "./libraries/Verdicts.sol";

/// @title RoundJudgement
/// @notice What the committee's verdicts mean for a round's submissions. See {IBlockLedger}.
/// @dev Sets of submissions are bit sets: bit i is submission i.
abstract contract RoundJudgement is IBlockLedger {
    uint256 private constant ORDER_BITS = 24;

    /// @dev What the round's ballots left.
    /// @param firstOutcome whose code is the outcome, zero if there was no such ballot, or nothing was decided
    /// @param transcript of the round and its ballots
    struct Voting {
        address firstOutcome;
        address outcome;
        bytes32 transcript;
    }

    /// @dev What the committee decided about a round's submissions.
    /// @param verdicts per submission; empty ones where it was not revealed
    /// @param qualified of the valid ones, those that reach the required accuracy as they claimed: they rank first
    /// @param tested of the valid ones, those with a test score
    struct Judgement {
        IVerifierCommittee.Verdict[] verdicts;
        uint256 valid;
        uint256 qualified;
        uint256 tested;
        uint256 unjudged;
        uint8 undecidedCount;
        bool isDataWithheld;
    }

    /// @dev What was claimed to qualify must reach the required accuracy by the committee's count as well. What the first
    /// ballot left undecided is taken from a second one over just that, in its order.
    /// @param voting what the ballots left
    function _judge(Voting memory voting, Case calldata given)
        internal
        view
        returns (Judgement memory judged)
    {
        uint256[] memory first = Outcomes.read(voting.firstOutcome);
        uint256[] memory last = Outcomes.read(voting.outcome);
        bool isRepeated = first.length != 0;
        if (!isRepeated) first = last;
        judged.verdicts = new IVerifierCommittee.Verdict[](given.entries.length);
        uint256 next;
        uint256 nextRepeated;
        for (uint256 i = 0; i < judged.verdicts.length; i++) {
            Entry calldata entry = given.entries[i];
            if (entry.modelCodec == 0) continue;
            IVerifierCommittee.Verdict memory verdict = Verdicts.verdictAt(first, next++);
            bool isOpen = isRepeated && verdict.train == IVerifierCommittee.VerdictKind.Undecided;
            if (isOpen && last.length != 0) verdict = Verdicts.verdictAt(last, nextRepeated++);
            judged.verdicts[i] = verdict;
            _sort(judged, i, entry.claimedTrainPpm >= given.requiredTrainPpm, given.requiredTrainPpm);
        }
    }

    /// @dev Whoever did not claim to qualify is not ranked by it: a claim stakes the bond.
    function _sort(Judgement memory judged, uint256 i, bool isClaimed, uint24 requiredTrainPpm) private pure {
        IVerifierCommittee.Verdict memory verdict = judged.verdicts[i];
        IVerifierCommittee.VerdictKind withheld = IVerifierCommittee.VerdictKind.Withheld;
        if (verdict.train == withheld || verdict.test == withheld) judged.isDataWithheld = true;
        if (verdict.train == IVerifierCommittee.VerdictKind.Scored) {
            if (isClaimed && verdict.trainPpm < requiredTrainPpm) return;
            judged.valid |= 1 << i;
            if (isClaimed) judged.qualified |= 1 << i;
            if (verdict.test == IVerifierCommittee.VerdictKind.Scored) judged.tested |= 1 << i;
        } else if (verdict.train >= withheld) {
            judged.unjudged |= 1 << i;
            if (verdict.train != withheld) judged.undecidedCount++;
        }
    }

    /// @dev What the contenders are ranked by: test accuracy or train accuracy, then the order of their commits.
    /// @return scores 0 for all others
    function _scores(Judgement memory judged, Entry[] calldata entries, uint256 contenders, bool isByTest)
        internal
        pure
        returns (uint256[] memory scores)
    {
        scores = new uint256[](entries.length);
        for (uint256 i = 0; i < scores.length; i++) {
            if ((contenders >> i) & 1 == 0) continue;
            IVerifierCommittee.Verdict memory verdict = judged.verdicts[i];
            uint256 ppm = isByTest ? verdict.testPpm : verdict.trainPpm;
            scores[i] = (1 + ppm) << ORDER_BITS | (type(uint24).max - entries[i].order);
        }
    }

    /// @dev Asks for what the round's ballots left. Their transcripts end with the votes' commitments.
    function _look(IVerifierCommittee committee, Case calldata given)
        internal
        view
        returns (Voting memory voting)
    {
        voting.transcript = given.transcript;
        if (given.firstBallotId != 0) {
            voting.firstOutcome = _add(committee, given.firstBallotId, voting);
        }
        voting.outcome = _add(committee, given.ballotId, voting);
    }

    function _add(IVerifierCommittee committee, uint64 ballotId, Voting memory voting)
        private
        view
        returns (address outcome)
    {
        bytes32 votes;
        // slither-disable-next-line unused-return: the chain knows the phase
        (, votes, outcome) = committee.result(ballotId);
        voting.transcript = keccak256(abi.encode(voting.transcript, votes));
    }

    /// @dev Number of bits set.
    function _size(uint256 set) internal pure returns (uint256 count) {
        for (; set != 0; set &= set - 1) {
            count++;
        }
    }
}
