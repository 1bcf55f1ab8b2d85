// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {Cids} from "./libraries/Cids.sol";
import {TaskList} from "./TaskList.sol";

/// @title TaskMarket
/// @notice See the documentation in {ITaskMarket}.
contract TaskMarket is TaskList {
    /// @notice Solutions that a round has room for; the chain's limit as well.
    uint16 public constant MAX_SUBMISSIONS = 64;
    /// @notice Every opening of a round looks at all lanes.
    uint256 public constant MAX_LANES = 16;

    /// @custom:security non-reentrant
    IRewardReservoir public immutable RESERVOIR;
    /// @notice How many lanes there are.
    uint256 public immutable LANES;
    uint128 private immutable MIN_REWARD_WEI;
    uint32 private immutable MAX_TIME_LIMIT_S;
    uint32 private immutable MIN_TIME_LIMIT_S;

    /// @inheritdoc ITaskMarket
    bytes32 public override taskListHash;
    /// @inheritdoc ITaskMarket
    bytes32 public override newTasksHash;
    mapping(uint256 index => Lane) private _lanes;

    /// @param reservoir must already list this contract as an operator
    /// @param chains one for each lane, the only callers of the chains' functions; may be deployed later
    constructor(IRewardReservoir reservoir, address[] memory chains, MarketParameters memory given)
        TaskList(given)
    {
        if (chains.length == 0 || chains.length > MAX_LANES) revert InvalidParameter("lanes", chains.length);
        LANES = chains.length;
        for (uint256 i = 0; i < chains.length; i++) {
            if (chains[i] == address(0)) revert IRewardReservoir.ZeroAddress();
            _lanes[i] = Lane(chains[i], uint40(block.timestamp), false);
        }
        if (given.minRewardWei == 0) revert InvalidParameter("minRewardWei", given.minRewardWei);
        if (given.verifierFeePpm >= PPM) revert InvalidParameter("verifierFeePpm", given.verifierFeePpm);
        if (given.minTimeLimitS == 0) revert InvalidParameter("minTimeLimitS", 0);
        if (given.maxTimeLimitS < given.minTimeLimitS || given.maxTimeLimitS > type(uint24).max) {
            revert InvalidParameter("maxTimeLimitS", given.maxTimeLimitS);
        }
        if (reservoir.keeperOf(address(this)) == address(0)) {
            revert IRewardReservoir.NotOperator(address(this));
        }
        RESERVOIR = reservoir;
        MIN_REWARD_WEI = given.minRewardWei;
        MAX_TIME_LIMIT_S = given.maxTimeLimitS;
        MIN_TIME_LIMIT_S = given.minTimeLimitS;
    }

    /// @inheritdoc ITaskMarket
    function submit(TaskTerms calldata terms, uint64 hint) external payable override returns (uint64 taskId) {
        // Check: the terms can be judged and the payment covers bond, fee and the smallest reward.
        _checkTerms(terms);
        if (msg.value < _minPaymentWei()) revert PaymentTooSmall(msg.value, _minPaymentWei());

        // Effect: put the task on the list.
        taskId = ++taskCount;
        uint256 paymentWei = msg.value - CLIENT_BOND_WEI;
        _add(taskId, terms, paymentWei, hint);
        newTasksHash = keccak256(abi.encode(newTasksHash, taskId));
        uint256 feeWei = _feeOf(paymentWei);
        emit TaskSubmitted(taskId, msg.sender, terms.manifest, paymentWei - feeWei, feeWei, CLIENT_BOND_WEI);
        _record(taskId, TaskState.Pending);

        // Interaction: the reservoir holds all of it.
        RESERVOIR.deposit{value: msg.value}(IRewardReservoir.Pot.Escrow, _account(taskId));
    }

    /// @inheritdoc ITaskMarket
    function raiseReward(uint64 taskId, uint64 hint) external payable override {
        // Check: only its client, only while no round has it, and by enough to raise the reward after the fee.
        Kept storage raised = _tasks[taskId];
        _checkPending(taskId, raised);
        uint256 oldWei = raised.paymentWei;
        uint256 neededWei = _paymentFor(oldWei - _feeOf(oldWei) + 1) - oldWei;
        if (msg.value < neededWei) revert PaymentTooSmall(msg.value, neededWei);

        // Effect: up the list.
        uint256 paymentWei = oldWei + msg.value;
        _reprice(taskId, paymentWei, hint);
        _record(taskId, TaskState.Pending);
        uint256 feeWei = _feeOf(paymentWei);
        emit RewardRaised(taskId, paymentWei - feeWei, feeWei);

        // Interaction: the reservoir holds it.
        RESERVOIR.deposit{value: msg.value}(IRewardReservoir.Pot.Escrow, _account(taskId));
    }

    /// @inheritdoc ITaskMarket
    function cancel(uint64 taskId) external override {
        // Check: only its client, and only while no round has it.
        Kept storage cancelled = _tasks[taskId];
        _checkPending(taskId, cancelled);

        // Effect: off the list.
        _remove(taskId);
        _setState(taskId, TaskState.Cancelled);
        emit TaskClosed(taskId, TaskState.Cancelled);

        // Interaction: everything goes back.
        uint256 paidWei = cancelled.paymentWei + CLIENT_BOND_WEI;
        RESERVOIR.credit(IRewardReservoir.Pot.Escrow, _account(taskId), msg.sender, paidWei);
    }

    /// @inheritdoc ITaskMarket
    function popMostValuable() external override returns (uint64 taskId) {
        // Check: there is a task, and it is this lane's turn.
        uint8 lane = _callingLane();
        taskId = mostValuable();
        if (taskId == 0) revert NoPendingTask();
        address next = nextLane();
        if (msg.sender != next) revert NotNextLane(msg.sender, next);

        // Effect: off the list, into a round on that lane, which shares the market's accounts.
        _remove(taskId);
        _tasks[taskId].lane = lane;
        _lanes[lane].isBusy = true;
        _setState(taskId, TaskState.InRound);
        emit TaskPopped(taskId);
    }

    /// @inheritdoc ITaskMarket
    function beginIdleRound() external override {
        // Check: nobody would have to wait for it.
        Lane storage lane = _lanes[_callingLane()];
        if (lane.isBusy) revert LaneBusy(msg.sender);
        if (pendingCount != 0) revert TasksPending(pendingCount);
        if (LANES > 1 && _freeCount() == 1) revert LastFreeLane(msg.sender);

        // Effect: the lane is taken.
        lane.isBusy = true;
    }

    /// @inheritdoc ITaskMarket
    function close(uint64 taskId, TaskState outcome) external override {
        // Check: the lane's own task ends solved or refunded; an idle round has none.
        uint8 lane = _callingLane();
        if (taskId != 0) {
            Kept storage closed = _tasks[taskId];
            if (closed.state != TaskState.InRound) revert NotInRound(taskId, closed.state);
            if (closed.lane != lane) revert NotChain(msg.sender);
            if (outcome != TaskState.Solved && outcome != TaskState.Refunded) revert InvalidOutcome(outcome);

            // Effect: the list itself is unchanged since the pop.
            closed.state = outcome;
            emit TaskClosed(taskId, outcome);
        }

        // Effect: the lane is free, behind all that have been free for longer.
        _lanes[lane].isBusy = false;
        _lanes[lane].idleSince = uint40(block.timestamp);
    }

    /// @inheritdoc ITaskMarket
    function parameters() external view override returns (MarketParameters memory) {
        return MarketParameters(
            CLIENT_BOND_WEI,
            MIN_REWARD_WEI,
            VERIFIER_FEE_PPM,
            MAX_TIME_LIMIT_S,
            MIN_TIME_LIMIT_S,
            ROUND_WINDOWS_S
        );
    }

    /// @inheritdoc ITaskMarket
    function lanes() external view override returns (Lane[] memory all) {
        all = new Lane[](LANES);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = _lanes[i];
        }
    }

    /// @inheritdoc ITaskMarket
    function listHashes() external view override returns (bytes32, bytes32) {
        return (taskListHash, newTasksHash);
    }

    /// @inheritdoc ITaskMarket
    function nextLane() public view override returns (address chain) {
        uint256 longestSince = type(uint256).max;
        for (uint256 i = 0; i < LANES; i++) {
            Lane memory lane = _lanes[i];
            if (!lane.isBusy && lane.idleSince < longestSince) {
                (chain, longestSince) = (lane.chain, lane.idleSince);
            }
        }
    }

    function _setState(uint64 taskId, TaskState state) private {
        _tasks[taskId].state = state;
        _record(taskId, state);
    }

    /// @dev Every change of the list extends its hash chain, which block bodies commit to.
    function _record(uint64 taskId, TaskState state) private {
        taskListHash = keccak256(abi.encode(taskListHash, taskId, state));
        emit TaskListChanged(taskListHash);
    }

    /// @dev Whoever is no lane gets no further.
    function _callingLane() private view returns (uint8 lane) {
        for (lane = 0; lane < LANES; lane++) {
            if (_lanes[lane].chain == msg.sender) return lane;
        }
        revert NotChain(msg.sender);
    }

    function _freeCount() private view returns (uint256 count) {
        for (uint256 i = 0; i < LANES; i++) {
            if (!_lanes[i].isBusy) count++;
        }
    }

    function _checkPending(uint64 taskId, Kept storage checked) private view {
        if (checked.state != TaskState.Pending) revert NotPending(taskId, checked.state);
        if (checked.client != msg.sender) revert NotClient(taskId, checked.client, msg.sender);
    }

    function _checkTerms(TaskTerms calldata terms) private view {
        Cids.check(terms.manifest);
        if (terms.testSetCommitment == bytes32(0)) revert EmptyTestSetCommitment();
        if (terms.timeLimitS < MIN_TIME_LIMIT_S || terms.timeLimitS > MAX_TIME_LIMIT_S) {
            revert InvalidTimeLimit(terms.timeLimitS, MIN_TIME_LIMIT_S, MAX_TIME_LIMIT_S);
        }
        if (terms.earliestCloseS > terms.timeLimitS) {
            revert InvalidEarliestClose(terms.earliestCloseS, terms.timeLimitS);
        }
        if (terms.requiredTrainPpm > PPM) revert InvalidAccuracy(terms.requiredTrainPpm);
        if (terms.minTestPpm > PPM) revert InvalidAccuracy(terms.minTestPpm);
        if (terms.solutionsWanted == 0 || terms.solutionsWanted > MAX_SUBMISSIONS) {
            revert InvalidSolutionsWanted(terms.solutionsWanted, MAX_SUBMISSIONS);
        }
    }

    /// @dev The least payment whose reward, after a fee rounded up, is not under this.
    function _paymentFor(uint256 rewardWei) private view returns (uint256) {
        return Math.mulDiv(rewardWei, PPM, PPM - VERIFIER_FEE_PPM, Math.Rounding.Ceil);
    }

    function _minPaymentWei() private view returns (uint256) {
        return CLIENT_BOND_WEI + _paymentFor(MIN_REWARD_WEI);
    }

    function _account(uint64 taskId) private pure returns (bytes32) {
        return bytes32(uint256(taskId));
    }
}
