// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {IBlockLedger} from "../../contracts/interfaces/IBlockLedger.sol";
import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {OmmerFormula} from "../../contracts/libraries/OmmerRewards.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {Handler} from "./Handler.sol";
import {VM} from "./Vm.sol";

/// @notice A campaign with fixed seeds, to show that the random ones reach what they are there to check.
contract Campaign {
    uint256 private constant CALLS = 11_000;
    Handler private handler;

    function setUp() external {
        handler = new Handler(OmmerFormula.Fraction);
        for (uint256 i = 0; i < CALLS; i++) {
            _call(uint256(keccak256(abi.encode("campaign", i))));
        }
    }

    function test_campaign__makes_blocks_and_ommers() external view {
        _reached(handler.seen(IBlockLedger.BlockAppended.selector), 50, "blocks");
        _reached(handler.seen(IBlockLedger.OmmerAdded.selector), 20, "ommers");
        _reached(handler.seen(IBlockLedger.OmmerReferenced.selector), 20, "referenced ommers");
        _reached(handler.overtimeBlocks(), 1, "overtime blocks");
    }

    function test_campaign__aborts_for_every_reason() external view {
        for (uint8 reason = 1; reason <= uint8(type(ILearningChain.AbortReason).max); reason++) {
            _reached(handler.aborted(ILearningChain.AbortReason(reason)), 1, _nameOf(reason));
        }
    }

    function test_campaign__takes_every_way_of_a_task() external view {
        _reached(handler.seen(ITaskMarket.TaskSubmitted.selector), 50, "submitted tasks");
        _reached(handler.seen(ITaskMarket.TaskClosed.selector), 50, "closed tasks");
        _reached(handler.seen(ILearningChain.BondForfeited.selector), 10, "forfeited bonds");
    }

    function test_campaign__takes_every_way_of_a_ballot() external view {
        _reached(handler.ballotsIn(IVerifierCommittee.BallotPhase.Opening), 50, "opened ballots");
        _reached(handler.ballotsIn(IVerifierCommittee.BallotPhase.Closed), 50, "closed ballots");
        _reached(handler.seen(IVerifierCommittee.VoteOpened.selector), 50, "opened votes");
        _reached(handler.ballotsIn(IVerifierCommittee.BallotPhase.Void), 1, "void ballots");
        _reached(handler.seen(IVerifierCommittee.BallotExtended.selector), 1, "extended ballots");
        _reached(handler.seen(IVerifierCommittee.Slashed.selector), 20, "slashed verifiers");
        _reached(handler.seen(IVerifierCommittee.Unstaked.selector), 5, "stakes taken back");
    }

    function test_campaign__takes_every_way_of_a_gradient_task() external view {
        _reached(handler.seen(IGradientChain.GradientTaskSubmitted.selector), 40, "gradient tasks");
        _reached(handler.seen(IGradientChain.GradientBlockAppended.selector), 50, "gradient blocks");
        _reached(handler.seen(IGradientChain.BlockProposed.selector), 50, "proposals");
        _reached(handler.rejected(false), 5, "heights at which nothing was valid");
        _reached(handler.rejected(true), 5, "heights at which nothing was decided");
        _reached(handler.seen(IGradientChain.MinerSlashed.selector), 10, "slashed miners");
        _reached(handler.seen(IGradientChain.MinerLeaving.selector), 3, "leaving miners");
        for (uint8 reason = 0; reason <= uint8(type(IGradientChain.StopReason).max); reason++) {
            _reached(handler.stoppedFor(IGradientChain.StopReason(reason)), 2, "ways to end a gradient task");
        }
    }

    function test_campaign__tries_every_cheat() external view {
        for (uint256 way = 0; way < 10; way++) {
            _reached(handler.cheats(way), 2, string.concat("cheats of way ", Strings.toString(way)));
        }
    }

    function test_campaign__refuses_every_illegal_call() external view {
        _reached(handler.refusedAttempts(), 100, "refused attempts");
        VM.assertTrue(bytes(handler.violation()).length == 0, handler.violation());
    }

    function _call(uint256 seed) private {
        uint256 kind = seed % 14;
        seed >>= 8;
        if (kind == 0) handler.clientSubmits(seed);
        else if (kind == 1) handler.clientCancels(seed);
        else if (kind == 2) handler.minerCommits(seed);
        else if (kind == 3) handler.verifierStakes(seed);
        else if (kind == 4) handler.verifierLeaves(seed);
        else if (kind == 5) handler.payeeWithdraws(seed);
        else if (kind == 6) handler.roundGoesOn(seed);
        else if (kind == 7) handler.nobodyActs(seed);
        else if (kind == 8) handler.timePasses(seed);
        else if (kind == 9) handler.intruderTries(seed);
        else if (kind == 10) handler.gradientClientActs(seed);
        else if (kind == 11) handler.gradientMinerActs(seed);
        else if (kind == 12) handler.gradientGoesOn(seed);
        else handler.cheaterTries(seed);
    }

    function _reached(uint256 count, uint256 least, string memory what) private pure {
        VM.assertTrue(count >= least, string.concat("too few ", what, ": ", Strings.toString(count)));
    }

    function _nameOf(uint8 reason) private pure returns (string memory) {
        return string.concat("rounds aborted for reason ", Strings.toString(reason));
    }
}
