// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundTreasury} from "./RoundTreasury.sol";
import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {Cid} from "./libraries/Cids.sol";
import {OmmerRewards} from "./libraries/OmmerRewards.sol";
import {Ranking} from "./libraries/Ranking.sol";

/// @title RoundJudgement
/// @notice What the committee's verdicts mean for a round's submissions. See {ILearningChain}.
abstract contract RoundJudgement is RoundTreasury {
    /// @dev The winner and the ommers that later blocks can still reference.
    uint256 private constant PLACES = 1 + OmmerRewards.MAX_DEPTH;

    /// @dev What the committee decided about a round's submissions.
    /// @param candidates per submission; zeros where it was not revealed
    /// @param valid the set of those that may win
    /// @param unjudged the set of those of which nothing is known, through no fault of theirs that was shown
    /// @param undecidedCount of those, how many another ballot could decide
    /// @param isTested every valid one has a test score
    /// @param isDataWithheld the client's data could not be had
    struct Judgement {
        IBlockLedger.Candidate[] candidates;
        uint256 valid;
        uint256 unjudged;
        uint256 undecidedCount;
        bool isTested;
        bool isDataWithheld;
    }

    /// @dev In time the committee's train accuracy must reach the required one as well.
    function _judge(RoundState storage state) internal view returns (Judgement memory judged) {
        Round storage voted = state.round;
        IVerifierCommittee.Verdict[] memory verdicts =
            COMMITTEE.repeatedOutcome(voted.firstBallotId, voted.ballotId);
        uint32 neededTrainPpm = voted.isOvertime ? 0 : state.terms.requiredTrainPpm;
        judged.candidates = new IBlockLedger.Candidate[](voted.submissionCount);
        judged.isTested = true;
        uint256 entry;
        for (uint256 i = 0; i < judged.candidates.length; i++) {
            address miner = state.miners[i];
            Entry storage revealed = state.entries[miner];
            if (!revealed.isRevealed) continue;
            IVerifierCommittee.Verdict memory verdict = verdicts[entry++];
            Cid memory model = Cid(revealed.modelCodec, revealed.modelDigest);
            judged.candidates[i] = IBlockLedger.Candidate(miner, model, verdict.trainPpm, verdict.testPpm);
            _sort(judged, i, verdict, neededTrainPpm);
        }
    }

    function _sort(
        Judgement memory judged,
        uint256 i,
        IVerifierCommittee.Verdict memory verdict,
        uint32 neededTrainPpm
    ) private pure {
        IVerifierCommittee.VerdictKind withheld = IVerifierCommittee.VerdictKind.Withheld;
        if (verdict.train == withheld || verdict.test == withheld) judged.isDataWithheld = true;
        if (verdict.train == IVerifierCommittee.VerdictKind.Scored) {
            if (verdict.trainPpm < neededTrainPpm) return;
            judged.valid |= 1 << i;
            if (verdict.test != IVerifierCommittee.VerdictKind.Scored) judged.isTested = false;
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
            (, votes) = COMMITTEE.result(ended.firstBallotId);
            transcript = keccak256(abi.encode(transcript, votes));
        }
        (, votes) = COMMITTEE.result(ended.ballotId);
        return keccak256(abi.encode(transcript, votes));
    }

    /// @dev The winner and the best ommers, best first: by test accuracy, or by train accuracy.
    function _ranked(IBlockLedger.Candidate[] memory candidates, uint256 valid, bool isByTest)
        internal
        pure
        returns (IBlockLedger.Candidate[] memory ranked)
    {
        uint256[] memory scores = new uint256[](candidates.length);
        for (uint256 i = 0; i < scores.length; i++) {
            if (!_has(valid, i)) continue;
            scores[i] = 1 + (isByTest ? candidates[i].testPpm : candidates[i].trainPpm);
        }
        uint256[] memory positions = Ranking.best(scores, PLACES);
        ranked = new IBlockLedger.Candidate[](positions.length);
        for (uint256 i = 0; i < positions.length; i++) {
            ranked[i] = candidates[positions[i]];
        }
    }
}
