// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundTreasury} from "./RoundTreasury.sol";
import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Cid} from "./libraries/Cids.sol";

/// @title RoundJudgement
/// @notice What the committee's verdicts mean for a round's submissions. See {ILearningChain}.
abstract contract RoundJudgement is RoundTreasury {
    uint256 private constant ORDER_BITS = 24;

    /// @dev What the committee decided about a round's submissions.
    /// @param candidates per submission; zeros where it was not revealed
    /// @param valid the set of those that are what they claimed to be
    /// @param qualified of those, the ones that reach the required accuracy: they rank first
    /// @param tested of the valid ones, those with a test score
    /// @param unjudged the set of those of which nothing is known, through no fault of theirs that was shown
    /// @param undecidedCount of those, how many another ballot could decide
    /// @param isDataWithheld the client's data could not be had
    struct Judgement {
        IBlockLedger.Candidate[] candidates;
        uint256 valid;
        uint256 qualified;
        uint256 tested;
        uint256 unjudged;
        uint256 undecidedCount;
        bool isDataWithheld;
    }

    /// @dev What was claimed to qualify must reach the required accuracy by the committee's count as well.
    function _judge(RoundState storage state) internal view returns (Judgement memory judged) {
        Round storage voted = state.round;
        IVerifierCommittee.Verdict[] memory verdicts =
            COMMITTEE.repeatedOutcome(voted.firstBallotId, voted.ballotId);
        uint24 required = state.terms.requiredTrainPpm;
        judged.candidates = new IBlockLedger.Candidate[](voted.submissionCount);
        uint256 entry;
        for (uint256 i = 0; i < judged.candidates.length; i++) {
            address miner = state.miners[i];
            Entry storage revealed = state.entries[miner];
            if (!revealed.isRevealed) continue;
            IVerifierCommittee.Verdict memory verdict = verdicts[entry++];
            Cid memory model = Cid(revealed.modelCodec, revealed.digest);
            judged.candidates[i] = IBlockLedger.Candidate(miner, model, verdict.trainPpm, verdict.testPpm);
            _sort(judged, i, verdict, revealed.claimedTrainPpm >= required ? required : 0, required);
        }
    }

    function _sort(
        Judgement memory judged,
        uint256 i,
        IVerifierCommittee.Verdict memory verdict,
        uint32 neededTrainPpm,
        uint32 required
    ) private pure {
        IVerifierCommittee.VerdictKind withheld = IVerifierCommittee.VerdictKind.Withheld;
        if (verdict.train == withheld || verdict.test == withheld) judged.isDataWithheld = true;
        if (verdict.train == IVerifierCommittee.VerdictKind.Scored) {
            if (verdict.trainPpm < neededTrainPpm) return;
            judged.valid |= 1 << i;
            // Whoever did not claim it is not ranked by it: a claim stakes the bond.
            if (neededTrainPpm == required) judged.qualified |= 1 << i;
            if (verdict.test == IVerifierCommittee.VerdictKind.Scored) judged.tested |= 1 << i;
        } else if (verdict.train >= withheld) {
            judged.unjudged |= 1 << i;
            if (verdict.train != withheld) judged.undecidedCount++;
        }
    }

    function _result(Round storage voted)
        internal
        view
        returns (IVerifierCommittee.BallotPhase phase, bytes32 transcript)
    {
        return COMMITTEE.result(voted.ballotId);
    }

    /// @dev The round's transcript and those of its ballots, which end with the votes' commitments.
    function _transcript(Round storage ended) internal view returns (bytes32 transcript) {
        transcript = ended.transcript;
        bytes32 votes;
        if (ended.firstBallotId != 0) {
            // slither-disable-next-line unused-return: the phase is known
            (, votes) = COMMITTEE.result(ended.firstBallotId);
            transcript = keccak256(abi.encode(transcript, votes));
        }
        // slither-disable-next-line unused-return: the phase is known
        (, votes) = COMMITTEE.result(ended.ballotId);
        return keccak256(abi.encode(transcript, votes));
    }

    /// @dev What the contenders are ranked by: test accuracy or train accuracy, then the order of their commits.
    /// @return scores 0 for all others
    /// @return winner position of the highest; meaningless without contenders
    function _scores(
        RoundState storage state,
        IBlockLedger.Candidate[] memory candidates,
        uint256 contenders,
        bool isByTest
    ) internal view returns (uint256[] memory scores, uint256 winner) {
        scores = new uint256[](candidates.length);
        for (uint256 i = 0; i < scores.length; i++) {
            if (!_has(contenders, i)) continue;
            uint256 ppm = isByTest ? candidates[i].testPpm : candidates[i].trainPpm;
            scores[i] = (1 + ppm) << ORDER_BITS | (type(uint24).max - state.entries[state.miners[i]].order);
            if (scores[i] > scores[winner]) winner = i;
        }
    }
}
