// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {Difficulty} from "../../contracts/libraries/Difficulty.sol";
import {Voters} from "./Voters.sol";
import {VM} from "./Vm.sol";

/// @notice What clients and miners do on the gradient chain when it is their turn.
abstract contract GradientRoles is Voters {
    function isGradientOpen() public view returns (bool) {
        return gradient.current().phase != IGradientChain.HeightPhase.Idle;
    }

    /// @notice Whoever may have a bond.
    function gradientMiners() public pure returns (address[] memory all) {
        all = new address[](MINERS + OUTSIDERS);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = i < MINERS ? _miner(i) : _outsider(i - MINERS);
        }
    }

    // --- clients ---

    function _submitGradientTask(uint256 seed) internal {
        address client = _client(seed);
        IGradientChain.GradientTerms memory terms = _termsOf(seed >> 8);
        uint256 costWei = gradient.costOf(terms);
        VM.deal(client, costWei);
        VM.prank(client);
        gradient.submit{value: costWei}(terms);
    }

    function _termsOf(uint256 seed) private pure returns (IGradientChain.GradientTerms memory terms) {
        bool isPaper = seed % 4 == 0;
        terms.manifest = Cid(Cids.RAW, keccak256(abi.encode("gradient manifest", seed)));
        terms.genesisWeights = Cid(Cids.RAW, keccak256(abi.encode("genesis weights", seed)));
        terms.rules = isPaper ? IGradientChain.Rules.Paper : IGradientChain.Rules.Hardened;
        terms.blockRewardWei = uint128(MIN_REWARD_WEI + (seed >> 8) % 8_000);
        terms.blockCount = uint32(1 + (seed >> 24) % 4);
        terms.targetTestPpm = (seed >> 32) % 4 == 0 ? 700_000 : 0;
        terms.blockTimeLimitS = uint32(60 + (seed >> 64) % 240);
        terms.targetIntervalS = uint32(5 + (seed >> 80) % 55);
        terms.minStep = isPaper ? 0 : uint32(1 + (seed >> 96) % 20);
        terms.maxStep = isPaper ? 0 : terms.minStep + uint32((seed >> 104) % 200);
        terms.initialThreshold = isPaper ? 1 : uint32(1 + (seed >> 120) % Difficulty.MAX_THRESHOLD);
    }

    function _cancelGradientTask(uint256 seed) internal {
        uint64 count = gradient.taskCount();
        for (uint64 back = 0; back < 8 && back < count; back++) {
            uint64 taskId = count - uint64((back + seed) % (count < 8 ? count : 8));
            if (gradientStateOf[taskId] != IGradientChain.GradientTaskState.Pending) continue;
            _cancelGradient(taskId);
            return;
        }
    }

    function _cancelGradient(uint64 taskId) internal {
        VM.prank(gradient.task(taskId).client);
        gradient.cancel(taskId);
    }

    // --- miners ---

    function _enrol(address miner) internal {
        if (gradient.minerOf(miner).bondWei != 0) return;
        uint256 bondWei = GRADIENT_BOND_WEI + uint160(miner) % 3;
        VM.deal(miner, bondWei);
        VM.prank(miner);
        gradient.enrol{value: bondWei}();
    }

    function _requestExit(address miner) internal {
        IGradientChain.Miner memory leaver = gradient.minerOf(miner);
        if (leaver.bondWei == 0 || leaver.exitAt != 0) return;
        VM.prank(miner);
        gradient.requestExit();
    }

    function _completeExit(address miner) internal {
        IGradientChain.Miner memory leaver = gradient.minerOf(miner);
        if (leaver.exitAt == 0 || _nowS < leaver.exitAt || leaver.hasProposal) return;
        VM.prank(miner);
        gradient.completeExit();
    }

    /// @dev The first miner from a random one on that may propose; nobody if none may.
    function _proposeBlock(uint256 seed) internal {
        uint32 below = gradient.threshold();
        if (below == 0) return;
        IGradientChain.Height memory current = gradient.current();
        if (current.proposalCount == PROPOSALS) return;
        IGradientChain.GradientTerms memory terms = gradient.task(current.taskId).terms;
        for (uint256 i = 0; i < MINERS; i++) {
            address miner = _miner(seed % MINERS + i);
            if (!_canPropose(miner, current.height)) continue;
            Cid memory weights = Cid(Cids.RAW, keccak256(abi.encode("weights", current.height, miner)));
            uint32 step = terms.minStep + uint32((seed >> 8) % (terms.maxStep - terms.minStep + 1));
            bytes32 previous = gradient.headerHash(current.height - 1);
            VM.prank(miner);
            gradient.propose(current.height, previous, step, uint32((seed >> 40) % below), weights, weights);
            return;
        }
    }

    function _canPropose(address miner, uint64 height) internal view returns (bool) {
        IGradientChain.Miner memory enrolled = gradient.minerOf(miner);
        return enrolled.bondWei != 0 && enrolled.exitAt == 0 && !enrolled.hasProposal
            && enrolled.enrolledAtBlock < gradient.headerBlock(height - 1);
    }

    // --- whoever's turn it is ---

    function _gradientGoesOn(uint256 seed) internal {
        IGradientChain.Height memory current = gradient.current();
        if (current.phase == IGradientChain.HeightPhase.Idle) {
            if (gradient.pendingCount() == 0) _submitGradientTask(seed);
            VM.prank(_stranger());
            gradient.openTask();
        } else if (gradient.isDue()) {
            gradient.advance();
        } else if (current.phase == IGradientChain.HeightPhase.Voting) {
            _voteOnBlocks(current.ballotId, seed);
        } else if (current.phase == IGradientChain.HeightPhase.Collect && seed % 2 == 0) {
            _lapseGradient();
        } else {
            _enrol(_miner(seed >> 4));
            _proposeBlock(seed >> 8);
        }
    }

    /// @dev Passes the next deadline of the height or its ballot, and advances it.
    function _lapseGradient() internal {
        IGradientChain.Height memory current = gradient.current();
        if (current.phase == IGradientChain.HeightPhase.Idle) return;
        if (current.phase == IGradientChain.HeightPhase.Voting && !gradient.isDue()) {
            IVerifierCommittee.Ballot memory ballot = committee.ballot(current.ballotId);
            if (ballot.deadline > _nowS) _pass(ballot.deadline - _nowS);
            _endBallotPhase(current.ballotId);
            return;
        }
        if (current.deadline > _nowS) _pass(current.deadline - _nowS);
        // The clock stands still while too few are seated, but not for ever.
        if (!gradient.isDue()) _pass(SEAT_WAIT_S);
        gradient.advance();
    }

    /// @dev At one height of six nobody votes, so that three ballots in a row are void.
    function _voteOnBlocks(uint64 ballotId, uint256 seed) private {
        uint64 height = gradient.current().height;
        if (uint256(keccak256(abi.encode("turnout", height))) % 6 == 0) _lapseGradient();
        else if (committee.isDue(ballotId)) _endBallotPhase(ballotId);
        else _vote(ballotId, seed);
    }
}
