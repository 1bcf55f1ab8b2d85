// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {Cids} from "./libraries/Cids.sol";
import {IndexedHeap} from "./libraries/IndexedHeap.sol";

/// @title TaskMarket
/// @notice See the documentation in {ITaskMarket}.
contract TaskMarket is ITaskMarket {
    using IndexedHeap for IndexedHeap.Heap;
    using SafeCast for uint256;

    uint256 private constant PPM = 1_000_000;
    /// @notice Solutions that a round has room for; the chain's limit as well.
    uint16 public constant MAX_SUBMISSIONS = 64;
    /// @notice Every opening of a round looks at all lanes.
    uint256 public constant MAX_LANES = 16;

    IRewardReservoir public immutable RESERVOIR;
    /// @notice How many lanes there are.
    uint256 public immutable LANES;
    uint128 private immutable CLIENT_BOND_WEI;
    uint128 private immutable MIN_REWARD_WEI;
    uint32 private immutable VERIFIER_FEE_PPM;
    uint32 private immutable MAX_TIME_LIMIT_S;
    uint32 private immutable MIN_TIME_LIMIT_S;
    uint32 private immutable ROUND_WINDOWS_S;

    /// @inheritdoc ITaskMarket
    uint64 public override taskCount;
    /// @inheritdoc ITaskMarket
    bytes32 public override taskListHash;
    /// @inheritdoc ITaskMarket
    bytes32 public override newTasksHash;
    mapping(uint64 taskId => Task task) private _tasks;
    IndexedHeap.Heap private _pending;
    mapping(uint256 index => Lane) private _lanes;

    /// @param reservoir must already list this contract as an operator
    /// @param chains one for each lane, the only callers of the chains' functions; may be deployed later
    constructor(IRewardReservoir reservoir, address[] memory chains, MarketParameters memory given) {
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
        if (!reservoir.isOperator(address(this))) revert IRewardReservoir.NotOperator(address(this));
        RESERVOIR = reservoir;
        CLIENT_BOND_WEI = given.clientBondWei;
        MIN_REWARD_WEI = given.minRewardWei;
        VERIFIER_FEE_PPM = given.verifierFeePpm;
        MAX_TIME_LIMIT_S = given.maxTimeLimitS;
        MIN_TIME_LIMIT_S = given.minTimeLimitS;
        ROUND_WINDOWS_S = given.roundWindowsS;
    }

    /// @inheritdoc ITaskMarket
    function submit(TaskTerms calldata terms) external payable override returns (uint64 taskId) {
        // Check: the terms can be judged and the payment covers bond, fee and the smallest reward.
        _checkTerms(terms);
        if (msg.value < _minPaymentWei()) revert PaymentTooSmall(msg.value, _minPaymentWei());

        // Effect: split the payment and put the task on the list.
        taskId = ++taskCount;
        uint256 paymentWei = msg.value - CLIENT_BOND_WEI;
        uint256 feeWei = _feeOf(paymentWei);
        Task storage added = _tasks[taskId];
        added.terms = terms;
        added.client = msg.sender;
        added.rewardWei = (paymentWei - feeWei).toUint128();
        added.verifierFeeWei = feeWei.toUint128();
        added.bondWei = CLIENT_BOND_WEI;
        newTasksHash = keccak256(abi.encode(newTasksHash, taskId));
        emit TaskSubmitted(taskId, msg.sender, terms.manifest, paymentWei - feeWei, feeWei, CLIENT_BOND_WEI);
        _pending.insert(taskId, uint192(valueOf(taskId)));
        _setState(taskId, TaskState.Pending);

        // Interaction: the reservoir holds all of it.
        RESERVOIR.deposit{value: paymentWei}(IRewardReservoir.Pot.Escrow, _account(taskId));
        RESERVOIR.deposit{value: CLIENT_BOND_WEI}(IRewardReservoir.Pot.Bond, _account(taskId));
    }

    /// @inheritdoc ITaskMarket
    function raiseReward(uint64 taskId) external payable override {
        // Check: only its client, and only while no round has it.
        Task storage raised = _tasks[taskId];
        _checkPending(taskId, raised);
        uint256 feeWei = _feeOf(msg.value);
        if (msg.value <= feeWei) revert PaymentTooSmall(msg.value, feeWei + 1);

        // Effect: up the list.
        raised.rewardWei += (msg.value - feeWei).toUint128();
        raised.verifierFeeWei += feeWei.toUint128();
        _pending.remove(taskId);
        _pending.insert(taskId, uint192(valueOf(taskId)));
        _setState(taskId, TaskState.Pending);
        emit RewardRaised(taskId, raised.rewardWei, raised.verifierFeeWei);

        // Interaction: the reservoir holds it.
        RESERVOIR.deposit{value: msg.value}(IRewardReservoir.Pot.Escrow, _account(taskId));
    }

    /// @inheritdoc ITaskMarket
    function cancel(uint64 taskId) external override {
        // Check: only its client, and only while no round has it.
        Task storage cancelled = _tasks[taskId];
        _checkPending(taskId, cancelled);

        // Effect: off the list.
        _pending.remove(taskId);
        _setState(taskId, TaskState.Cancelled);
        emit TaskClosed(taskId, TaskState.Cancelled);

        // Interaction: everything goes back.
        RESERVOIR.credit(IRewardReservoir.Pot.Escrow, _account(taskId), msg.sender, _escrowOf(taskId));
        RESERVOIR.credit(IRewardReservoir.Pot.Bond, _account(taskId), msg.sender, cancelled.bondWei);
    }

    /// @inheritdoc ITaskMarket
    function popMostValuable() external override returns (uint64 taskId) {
        // Check: there is a task, and it is this lane's turn.
        uint8 lane = _callingLane();
        if (_pending.length() == 0) revert NoPendingTask();
        address next = nextLane();
        if (msg.sender != next) revert NotNextLane(msg.sender, next);

        // Effect: off the list, into a round on that lane.
        taskId = _pending.pop();
        Task storage popped = _tasks[taskId];
        popped.lane = lane;
        _lanes[lane].isBusy = true;
        _setState(taskId, TaskState.InRound);
        emit TaskPopped(taskId);

        // Interaction: the chain gets escrow and bond under the same account.
        _handOver(IRewardReservoir.Pot.Escrow, taskId, _escrowOf(taskId));
        _handOver(IRewardReservoir.Pot.Bond, taskId, popped.bondWei);
    }

    /// @inheritdoc ITaskMarket
    function beginIdleRound() external override {
        // Check: nobody would have to wait for it.
        Lane storage lane = _lanes[_callingLane()];
        if (lane.isBusy) revert LaneBusy(msg.sender);
        uint256 pending = _pending.length();
        if (pending != 0) revert TasksPending(pending);
        if (LANES > 1 && _freeCount() == 1) revert LastFreeLane(msg.sender);

        // Effect: the lane is taken.
        lane.isBusy = true;
    }

    /// @inheritdoc ITaskMarket
    function close(uint64 taskId, TaskState outcome) external override {
        // Check: the lane's own task ends solved or refunded; an idle round has none.
        uint8 lane = _callingLane();
        if (taskId != 0) {
            Task storage closed = _tasks[taskId];
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
    function task(uint64 taskId) external view override returns (Task memory) {
        return _tasks[taskId];
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
    function pendingCount() external view override returns (uint256) {
        return _pending.length();
    }

    /// @inheritdoc ITaskMarket
    function mostValuable() external view override returns (uint64 taskId) {
        return _pending.length() == 0 ? 0 : _pending.peek();
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

    /// @inheritdoc ITaskMarket
    function valueOf(uint64 taskId) public view override returns (uint256) {
        Task storage valued = _tasks[taskId];
        if (valued.client == address(0)) return 0;
        return (uint256(valued.rewardWei) << 32) / (uint256(valued.terms.timeLimitS) + ROUND_WINDOWS_S);
    }

    /// @dev Every change of the list extends its hash chain, which block bodies commit to.
    function _setState(uint64 taskId, TaskState state) private {
        _tasks[taskId].state = state;
        taskListHash = keccak256(abi.encode(taskListHash, taskId, state));
        emit TaskListChanged(taskListHash);
    }

    function _handOver(IRewardReservoir.Pot pot, uint64 taskId, uint256 amountWei) private {
        RESERVOIR.move(pot, _account(taskId), msg.sender, pot, _account(taskId), amountWei);
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

    function _checkPending(uint64 taskId, Task storage checked) private view {
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

    /// @dev The verifiers' part of a payment, rounded up.
    function _feeOf(uint256 paymentWei) private view returns (uint256) {
        return Math.mulDiv(paymentWei, VERIFIER_FEE_PPM, PPM, Math.Rounding.Ceil);
    }

    /// @dev Reward and verifier fee.
    function _escrowOf(uint64 taskId) private view returns (uint256) {
        return uint256(_tasks[taskId].rewardWei) + _tasks[taskId].verifierFeeWei;
    }

    /// @dev The least payment whose reward, after a fee rounded up, is not under the minimum.
    function _minPaymentWei() private view returns (uint256) {
        return CLIENT_BOND_WEI + Math.mulDiv(MIN_REWARD_WEI, PPM, PPM - VERIFIER_FEE_PPM, Math.Rounding.Ceil);
    }

    function _account(uint64 taskId) private pure returns (bytes32) {
        return bytes32(uint256(taskId));
    }
}
