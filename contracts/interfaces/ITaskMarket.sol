// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "../libraries/Cids.sol";

/// @title ITaskMarket
/// @notice The global task list: what data clients commission, most valuable first: by reward over
/// the whole time that a round can take. Lanes, which are independent chains, take them from it side by side.
interface ITaskMarket {
    /// @notice `Pending`: on the list. `InRound`: popped by a lane. `Solved`: paid to a winner.
    /// `Refunded`: ended without a winner. `Cancelled`: taken back by its client while pending.
    enum TaskState {
        None,
        Pending,
        InRound,
        Solved,
        Refunded,
        Cancelled
    }

    /// @param manifest what to train, on what, and how it is judged (JSON)
    /// @param testSetCommitment see `Commitments.testSet`: binds the test set before anybody trains
    /// @param timeLimitS seconds of training
    /// @param requiredTrainPpm train accuracy that qualifies a solution
    /// @param minTestPpm test accuracy below which an overtime winner is not paid (0: no floor)
    /// @param solutionsWanted qualified solutions after which commits may close before the time limit
    /// @param earliestCloseS seconds of training before which they do not, however many there are
    struct TaskTerms {
        Cid manifest;
        bytes32 testSetCommitment;
        uint32 timeLimitS;
        uint32 requiredTrainPpm;
        uint32 minTestPpm;
        uint16 solutionsWanted;
        uint32 earliestCloseS;
    }

    /// @param rewardWei goes to the winner
    /// @param verifierFeeWei goes to the verifiers whose votes agree with what was decided
    /// @param bondWei the client's; lost if it withholds the keys or the test set
    /// @param lane index of the lane that popped it; 0 before that
    struct Task {
        TaskTerms terms;
        address client;
        uint128 rewardWei;
        uint128 verifierFeeWei;
        uint128 bondWei;
        TaskState state;
        uint8 lane;
    }

    /// @param chain its `LearningChain`
    /// @param idleSince when its last round ended, or when the market was deployed
    struct Lane {
        address chain;
        uint40 idleSince;
        bool isBusy;
    }

    /// @param clientBondWei bond that every task carries
    /// @param minRewardWei smallest reward accepted, against dust
    /// @param verifierFeePpm share of the payment that goes to the verifiers
    /// @param minTimeLimitS least time limit: a round of no time would hold the chain for its windows alone
    /// @param roundWindowsS what a round can take beside its time limit, ballot included
    struct MarketParameters {
        uint128 clientBondWei;
        uint128 minRewardWei;
        uint32 verifierFeePpm;
        uint32 maxTimeLimitS;
        uint32 minTimeLimitS;
        uint32 roundWindowsS;
    }

    event TaskSubmitted(
        uint64 indexed taskId,
        address indexed client,
        Cid manifest,
        uint256 rewardWei,
        uint256 verifierFeeWei,
        uint256 bondWei
    );
    event RewardRaised(uint64 indexed taskId, uint256 rewardWei, uint256 verifierFeeWei);
    event TaskPopped(uint64 indexed taskId);
    event TaskClosed(uint64 indexed taskId, TaskState outcome);
    event TaskListChanged(bytes32 taskListHash);

    /// @notice A constructor parameter under which no task could ever be submitted or paid.
    error InvalidParameter(bytes32 name, uint256 value);
    error NotChain(address caller);
    error NotClient(uint64 taskId, address client, address caller);
    error NotPending(uint64 taskId, TaskState state);
    error NotInRound(uint64 taskId, TaskState state);
    error InvalidOutcome(TaskState outcome);
    error NoPendingTask();
    /// @notice Another lane has been idle for longer; `next` is zero if all are busy.
    error NotNextLane(address lane, address next);
    error LaneBusy(address lane);
    error TasksPending(uint256 count);
    /// @notice An idle round would leave no lane for the next task.
    error LastFreeLane(address lane);
    error PaymentTooSmall(uint256 sentWei, uint256 neededWei);
    error InvalidTimeLimit(uint32 timeLimitS, uint32 minTimeLimitS, uint32 maxTimeLimitS);
    error InvalidEarliestClose(uint32 earliestCloseS, uint32 timeLimitS);
    error InvalidAccuracy(uint32 ppm);
    error InvalidSolutionsWanted(uint16 solutionsWanted, uint16 maxSolutions);
    error EmptyTestSetCommitment();
    /// @notice The task's place is more than 16 tasks away from this one.
    error StaleHint(uint64 hint);

    /// @notice Commissions a model. The value sent is the bond plus the payment; the payment is split into the
    /// verifier fee and the reward.
    /// @param hint the pending task that this one goes behind, see `pending`, or one at most 16 from there; 0: none is more
    /// valuable
    function submit(TaskTerms calldata terms, uint64 hint) external payable returns (uint64 taskId);

    /// @notice Adds the value sent to a pending task, whose fee is taken anew of the whole payment; it moves up the list.
    /// Client only.
    /// @param hint see `submit`; the task itself: from where it is now
    function raiseReward(uint64 taskId, uint64 hint) external payable;

    /// @notice Takes a pending task off the list and credits its client with everything it paid.
    function cancel(uint64 taskId) external;

    /// @notice Pops the most valuable task for the calling lane, which spends its account from now on: Escrow
    /// `bytes32(taskId)` with reward, fee and bond. Only the lane that has been idle longest, see `nextLane`.
    /// `Source: PoLe, Algorithm 1, line 1`
    function popMostValuable() external returns (uint64 taskId);

    /// @notice Takes the calling lane for an idle round. Not while tasks are pending, and never the last free lane; where
    /// there is only one lane, it may be taken.
    function beginIdleRound() external;

    /// @notice Ends the task of the calling lane as `Solved` or `Refunded`, and frees the lane.
    /// @param taskId 0: an idle round has ended; `outcome` has no meaning then
    function close(uint64 taskId, TaskState outcome) external;

    function parameters() external view returns (MarketParameters memory);
    function task(uint64 taskId) external view returns (Task memory);
    function taskCount() external view returns (uint64);
    function pendingCount() external view returns (uint64);
    /// @notice Pending tasks and their values in the order of the list.
    /// @param from the task behind which to begin; 0, or one that is not pending: the first
    /// @param count how many at most
    function pending(uint64 from, uint256 count)
        external
        view
        returns (uint64[] memory taskIds, uint256[] memory values);
    /// @notice All lanes, in the order of their indexes.
    function lanes() external view returns (Lane[] memory);
    /// @notice The lane that may pop: the one that has been idle longest, the first among equals; 0 if all are busy.
    function nextLane() external view returns (address chain);
    /// @notice The task that `popMostValuable` would pop; 0 when the list is empty.
    function mostValuable() external view returns (uint64 taskId);
    /// @notice Reward per second that a round can take (time limit and windows), scaled by 2^32. Ties: the older task first.
    function valueOf(uint64 taskId) external view returns (uint256);
    /// @notice Hash chain over every change of the list: `keccak(previous, taskId, newState)`.
    function taskListHash() external view returns (bytes32);
    /// @notice Hash chain over every task ever submitted: `keccak(previous, taskId)`.
    function newTasksHash() external view returns (bytes32);
    /// @notice Both of these.
    function listHashes() external view returns (bytes32 listHash, bytes32 newHash);
}
