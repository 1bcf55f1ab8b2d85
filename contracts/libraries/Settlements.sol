// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../interfaces/ILearningChain.sol";

/// @notice Who gets a part of a round's money. `Miners`: those whose bonds return; failing those, all who revealed;
/// failing those, all who committed. `Unjudged`: those whose models nobody could judge. `Seated`: the verifiers who were
/// seated when the round opened.
enum Payee {
    Client,
    Winner,
    Miners,
    Unjudged,
    Seated
}

/// @notice How a round ended, as far as money follows from it.
/// @param reason `None`: with a block
/// @param isWithheld the client owed its test set and did not publish it
/// @param revealed set of the submissions that were revealed
/// @param judged set of those that are what they claimed to be, or of which nothing is known
/// @param unjudged of these, those of which nothing is known
/// @param winner position of the best, if there is a block
struct Ending {
    ILearningChain.AbortReason reason;
    bool isWithheld;
    uint256 revealed;
    uint256 judged;
    uint256 unjudged;
    uint256 winner;
}

/// @param returned set of the submissions whose bonds return; all other bonds go to the client
/// @param areFeesReturned whether the judging fees return with them
/// @param isOccupancyPaid whether the seated get a share of the reward for the time that the round took
struct Settlement {
    Payee clientBondTo;
    Payee rewardTo;
    uint256 returned;
    bool areFeesReturned;
    bool isOccupancyPaid;
}

/// @title Settlements
/// @notice Where the money of a round goes, for every way in which one can end: the table of ADR 8.
library Settlements {
    function settle(Ending memory ending) internal pure returns (Settlement memory settled) {
        ILearningChain.AbortReason reason = ending.reason;
        settled.clientBondTo = ending.isWithheld ? Payee.Miners : Payee.Client;
        settled.returned = ending.judged;
        if (reason == ILearningChain.AbortReason.None) {
            settled.rewardTo = Payee.Winner;
        } else if (reason == ILearningChain.AbortReason.Undecided) {
            settled.rewardTo = Payee.Unjudged;
        } else if (reason == ILearningChain.AbortReason.QuorumLost) {
            // Nobody is to blame but the verifiers: before any reveal all bonds return, after it those of all revealed.
            settled.returned = ending.revealed == 0 ? type(uint256).max : ending.revealed;
            settled.areFeesReturned = true;
        } else {
            settled.isOccupancyPaid = true;
            if (reason == ILearningChain.AbortReason.KeysMissing) settled.clientBondTo = Payee.Seated;
        }
    }
}
