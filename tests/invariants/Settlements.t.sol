// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {Ending, Payee, Settlement, Settlements} from "../../contracts/libraries/Settlements.sol";
import {VM} from "./Vm.sol";

/// @notice The table of ADR 8, line by line.
contract SettlementsTest {
    uint256 private constant REVEALED = 7;
    uint256 private constant JUDGED = 5;

    function test_settle__block__reward_to_the_winner_and_bonds_to_the_judged() external pure {
        Settlement memory settled = _settle(ILearningChain.AbortReason.None, false, REVEALED);
        _check(settled, Payee.Client, Payee.Winner, JUDGED, false, false);
    }

    function test_settle__block_without_a_test_set__bond_of_the_client_to_the_miners() external pure {
        Settlement memory settled = _settle(ILearningChain.AbortReason.None, true, REVEALED);
        _check(settled, Payee.Miners, Payee.Winner, JUDGED, false, false);
    }

    function test_settle__undecided__reward_to_the_unjudged() external pure {
        Settlement memory settled = _settle(ILearningChain.AbortReason.Undecided, false, REVEALED);
        _check(settled, Payee.Client, Payee.Unjudged, JUDGED, false, false);
        settled = _settle(ILearningChain.AbortReason.Undecided, true, REVEALED);
        _check(settled, Payee.Miners, Payee.Unjudged, JUDGED, false, false);
    }

    function test_settle__quorum_lost_before_any_reveal__everything_returns() external pure {
        Settlement memory settled = _settle(ILearningChain.AbortReason.QuorumLost, false, 0);
        _check(settled, Payee.Client, Payee.Client, type(uint256).max, true, false);
    }

    function test_settle__quorum_lost_in_the_ballot__bonds_and_fees_of_the_revealed_return() external pure {
        Settlement memory settled = _settle(ILearningChain.AbortReason.QuorumLost, true, REVEALED);
        _check(settled, Payee.Miners, Payee.Client, REVEALED, true, false);
    }

    function test_settle__keys_missing__bond_and_occupancy_to_the_seated() external pure {
        Settlement memory settled = _settle(ILearningChain.AbortReason.KeysMissing, false, 0);
        _check(settled, Payee.Seated, Payee.Client, JUDGED, false, true);
    }

    function test_settle__no_model_to_pay_for__reward_returns_less_the_time_it_took() external pure {
        ILearningChain.AbortReason[4] memory reasons = [
            ILearningChain.AbortReason.NoSolution,
            ILearningChain.AbortReason.NothingRevealed,
            ILearningChain.AbortReason.NoValidSolution,
            ILearningChain.AbortReason.BelowFloor
        ];
        for (uint256 i = 0; i < reasons.length; i++) {
            _check(_settle(reasons[i], false, REVEALED), Payee.Client, Payee.Client, JUDGED, false, true);
            _check(_settle(reasons[i], true, REVEALED), Payee.Miners, Payee.Client, JUDGED, false, true);
        }
    }

    function _settle(ILearningChain.AbortReason reason, bool isWithheld, uint256 revealed)
        private
        pure
        returns (Settlement memory)
    {
        Ending memory ending;
        ending.reason = reason;
        ending.isWithheld = isWithheld;
        ending.revealed = revealed;
        ending.judged = JUDGED;
        return Settlements.settle(ending);
    }

    function _check(
        Settlement memory settled,
        Payee bondTo,
        Payee rewardTo,
        uint256 returned,
        bool areFeesReturned,
        bool isOccupancyPaid
    ) private pure {
        VM.assertEq(uint256(settled.clientBondTo), uint256(bondTo), "client's bond");
        VM.assertEq(uint256(settled.rewardTo), uint256(rewardTo), "reward");
        VM.assertEq(settled.returned, returned, "bonds that return");
        VM.assertTrue(settled.areFeesReturned == areFeesReturned, "judging fees");
        VM.assertTrue(settled.isOccupancyPaid == isOccupancyPaid, "occupancy");
    }
}
