// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "./IGradientChain.sol";
import {ILearningChain} from "./ILearningChain.sol";
import {ITaskMarket} from "./ITaskMarket.sol";
import {IVerifierCommittee} from "./IVerifierCommittee.sol";

/// @title ILens
/// @notice Much of a deployment in one call, for roles, wallets and explorers. It holds nothing, and nobody needs it:
/// all it says is what the other contracts' views say in the same block.
interface ILens {
    /// @notice A view to call.
    /// @param target contract
    /// @param data selector and arguments
    struct Call {
        address target;
        bytes data;
    }

    /// @notice What a view said.
    /// @param isSuccess false if it reverted
    /// @param data what it returned, or the revert's data
    struct Result {
        bool isSuccess;
        bytes data;
    }

    /// @notice A task on the list.
    /// @param taskId its id
    /// @param value what it is worth to the list, see {ITaskMarket-valueOf}
    /// @param task as the market says it
    struct ListedTask {
        uint64 taskId;
        uint256 value;
        ITaskMarket.Task task;
    }

    /// @notice A round with all that belongs to it.
    /// @param round as the chain says it
    /// @param isDue whether `advance` would move it on
    /// @param submissions in the order of their indexes
    /// @param ballot of its last ballot, empty without one
    /// @param isBallotDue whether `advance` would move that on
    /// @param firstOutcome what its first ballot decided where it was repeated, as {IVerifierCommittee-outcome}
    /// @param outcome what its last ballot decided, the same; empty until then
    struct WholeRound {
        ILearningChain.Round round;
        bool isDue;
        ILearningChain.Submission[] submissions;
        IVerifierCommittee.Ballot ballot;
        bool isBallotDue;
        uint256[] firstOutcome;
        uint256[] outcome;
    }

    /// @notice A seat of the committee.
    /// @param account whose stake it is
    /// @param verifier as the committee says it
    struct Seat {
        address account;
        IVerifierCommittee.Verifier verifier;
    }

    /// @notice A vote on a ballot.
    /// @param account the member
    /// @param member as the committee says it
    struct Vote {
        address account;
        IVerifierCommittee.Member member;
    }

    /// @notice What an account has on a lane.
    /// @param chain of the lane
    /// @param roundId of its newest round, 0 before the first
    /// @param place of its submission in that round, see {ILearningChain-placeOf}; 0 without one
    /// @param member of the round's last ballot, empty if it is none
    struct LanePosition {
        address chain;
        uint64 roundId;
        uint8 place;
        IVerifierCommittee.Member member;
    }

    /// @notice What an account has in all contracts.
    /// @param balanceWei its ether
    /// @param creditWei what it can withdraw from the reservoir
    /// @param tokens of the reward token
    /// @param verifier stake and seat
    /// @param miner bond on the gradient chain
    /// @param lanes in the order of the market's indexes
    struct Position {
        uint256 balanceWei;
        uint256 creditWei;
        uint256 tokens;
        IVerifierCommittee.Verifier verifier;
        IGradientChain.Miner miner;
        LanePosition[] lanes;
    }

    /// @notice Call many views, all in the same block.
    /// @return number of the block, as contracts know it
    /// @return timestamp of the block, in seconds
    /// @return results in the order of the calls
    function read(Call[] calldata calls)
        external
        view
        returns (uint256 number, uint256 timestamp, Result[] memory results);

    /// @notice Pending tasks in the order of the list, as `ITaskMarket.pending` pages through it, with all that they say.
    function pendingTasks(uint64 from, uint256 count) external view returns (ListedTask[] memory);

    /// @notice Rounds of a lane, with submissions and verdicts. `chain`: the lane's.
    function rounds(ILearningChain chain, uint64[] calldata roundIds)
        external
        view
        returns (WholeRound[] memory);

    /// @notice All seats with their stakes.
    function seats() external view returns (Seat[] memory);

    /// @notice All votes on a ballot, in the order of its members.
    function votes(uint64 ballotId) external view returns (Vote[] memory);

    /// @notice All that an account has.
    function position(address account) external view returns (Position memory);
}
