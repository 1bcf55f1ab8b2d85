// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "./interfaces/IGradientChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {Cids} from "./libraries/Cids.sol";
import {Difficulty} from "./libraries/Difficulty.sol";
import {IndexedHeap} from "./libraries/IndexedHeap.sol";
import {GradientBlocks} from "./GradientBlocks.sol";
import {GradientMiners} from "./GradientMiners.sol";

/// @title GradientTasks
/// @notice The list of gradient tasks and their money. See {IGradientChain}.
/// @dev A task's budget lies in the reservoir's Escrow account of its id.
abstract contract GradientTasks is GradientMiners, GradientBlocks {
    using IndexedHeap for IndexedHeap.Heap;

    uint256 private constant PPM = 1_000_000;
    /// @notice Search time of all blocks together: no task may hold the chain longer, and no sum of times overflows.
    uint32 public constant MAX_TASK_S = 365 days;

    uint128 private immutable MIN_BLOCK_REWARD_WEI;
    uint32 private immutable VERIFIER_FEE_PPM;
    uint32 internal immutable COLLECT_WINDOW_S;
    uint32 private immutable MAX_BLOCK_TIME_LIMIT_S;

    /// @inheritdoc IGradientChain
    uint64 public override taskCount;
    mapping(uint64 taskId => GradientTask) internal _tasks;
    IndexedHeap.Heap private _pending;

    constructor(IRewardReservoir reservoir, GradientParameters memory given)
        GradientMiners(reservoir, given.minerBondWei, given.exitDelayS)
        GradientBlocks(given.anchor)
    {
        if (given.minBlockRewardWei == 0) revert InvalidParameter("minBlockRewardWei", 0);
        if (given.verifierFeePpm > PPM) revert InvalidParameter("verifierFeePpm", given.verifierFeePpm);
        if (given.collectWindowS == 0) revert InvalidParameter("collectWindowS", 0);
        if (given.maxBlockTimeLimitS == 0 || given.maxBlockTimeLimitS > MAX_TASK_S) {
            revert InvalidParameter("maxBlockTimeLimitS", given.maxBlockTimeLimitS);
        }
        MIN_BLOCK_REWARD_WEI = given.minBlockRewardWei;
        VERIFIER_FEE_PPM = given.verifierFeePpm;
        COLLECT_WINDOW_S = given.collectWindowS;
        MAX_BLOCK_TIME_LIMIT_S = given.maxBlockTimeLimitS;
    }

    /// @inheritdoc IGradientChain
    function submit(GradientTerms calldata terms) external payable override returns (uint64 taskId) {
        // Check: the terms can be met, a lost bond covers a ballot, and the payment covers every block.
        _checkTerms(terms);
        _checkRules(terms);
        uint128 feeWei = _feeOf(terms.blockRewardWei);
        if (feeWei > MINER_BOND_WEI) revert FeeAboveBond(feeWei, MINER_BOND_WEI);
        uint256 budgetWei = costOf(terms);
        if (msg.value != budgetWei) revert WrongPayment(msg.value, budgetWei);

        // Effect: onto the list.
        taskId = ++taskCount;
        GradientTask storage added = _tasks[taskId];
        added.terms = terms;
        added.client = msg.sender;
        added.state = GradientTaskState.Pending;
        added.feeWei = feeWei;
        _pending.insert(taskId, terms.blockRewardWei);
        emit GradientTaskSubmitted(taskId, msg.sender, terms.manifest, budgetWei);

        // Interaction: the reservoir holds the budget.
        RESERVOIR.deposit{value: budgetWei}(IRewardReservoir.Pot.Escrow, _account(taskId));
    }

    /// @inheritdoc IGradientChain
    function cancel(uint64 taskId) external override {
        GradientTask storage cancelled = _tasks[taskId];
        if (cancelled.state != GradientTaskState.Pending) revert NotPending(taskId, cancelled.state);
        if (cancelled.client != msg.sender) revert NotClient(taskId, cancelled.client, msg.sender);
        _pending.remove(taskId);
        _closeTask(taskId, GradientTaskState.Cancelled, StopReason.None);
    }

    /// @inheritdoc IGradientChain
    function costOf(GradientTerms calldata terms) public view override returns (uint256 costWei) {
        return uint256(terms.blockCount) * (uint256(terms.blockRewardWei) + _feeOf(terms.blockRewardWei));
    }

    /// @inheritdoc IGradientChain
    function parameters() external view override returns (GradientParameters memory) {
        return GradientParameters(
            MINER_BOND_WEI,
            MIN_BLOCK_REWARD_WEI,
            VERIFIER_FEE_PPM,
            COLLECT_WINDOW_S,
            EXIT_DELAY_S,
            MAX_BLOCK_TIME_LIMIT_S,
            ANCHOR
        );
    }

    /// @inheritdoc IGradientChain
    function task(uint64 taskId) external view override returns (GradientTask memory) {
        return _tasks[taskId];
    }

    /// @inheritdoc IGradientChain
    function pendingCount() external view override returns (uint256) {
        return _pending.length();
    }

    /// @inheritdoc IGradientChain
    function height() public view override(GradientMiners, GradientBlocks) returns (uint64) {
        return GradientBlocks.height();
    }

    function _popTask() internal returns (uint64 taskId) {
        if (_pending.length() == 0) revert NoPendingTask();
        taskId = _pending.pop();
        _tasks[taskId].state = GradientTaskState.Active;
    }

    /// @dev Ends the task with all that is left of its budget going to the client.
    function _closeTask(uint64 taskId, GradientTaskState state, StopReason reason) internal {
        GradientTask storage closed = _tasks[taskId];
        closed.state = state;
        closed.stopReason = reason;
        uint256 refundWei = _budgetLeft(taskId);
        emit GradientTaskClosed(taskId, state, reason, refundWei);
        _creditBudget(taskId, closed.client, refundWei);
    }

    function _creditBudget(uint64 taskId, address payee, uint256 amountWei) internal {
        if (amountWei != 0) {
            RESERVOIR.credit(IRewardReservoir.Pot.Escrow, _account(taskId), payee, amountWei);
        }
    }

    /// @dev The client gets what the budget holds beyond the blocks still to be made: lost bonds, and a fee that no
    /// verifier earned.
    function _creditSurplus(uint64 taskId) internal {
        GradientTask storage paying = _tasks[taskId];
        uint256 blocksLeft = paying.terms.blockCount - paying.blocksDone;
        uint256 neededWei = blocksLeft * (uint256(paying.terms.blockRewardWei) + paying.feeWei);
        uint256 leftWei = _budgetLeft(taskId);
        if (leftWei > neededWei) _creditBudget(taskId, paying.client, leftWei - neededWei);
    }

    /// @dev A ballot may spend a fee that no block was made for, so the budget may pay for fewer blocks than wanted.
    function _canPayBlock(uint64 taskId) internal view returns (bool) {
        GradientTask storage paying = _tasks[taskId];
        return _budgetLeft(taskId) >= uint256(paying.terms.blockRewardWei) + paying.feeWei;
    }

    function _threshold(GradientTask storage searched, uint256 searchedS) internal view returns (uint32) {
        if (searched.terms.rules == Rules.Paper) return 1;
        uint256 targetIntervalS = searched.terms.targetIntervalS;
        return Difficulty.threshold(
            searched.terms.initialThreshold, searchedS, searched.blocksDone * targetIntervalS, targetIntervalS
        );
    }

    function _account(uint64 id) internal pure returns (bytes32) {
        return bytes32(uint256(id));
    }

    function _budgetLeft(uint64 taskId) private view returns (uint256 amountWei) {
        return RESERVOIR.balanceOf(address(this), IRewardReservoir.Pot.Escrow, _account(taskId));
    }

    /// @dev Rounded up, and at most the reward, so it fits.
    function _feeOf(uint128 rewardWei) private view returns (uint128) {
        return uint128((uint256(rewardWei) * VERIFIER_FEE_PPM + PPM - 1) / PPM);
    }

    function _checkTerms(GradientTerms calldata terms) private view {
        Cids.check(terms.manifest);
        Cids.check(terms.genesisWeights);
        if (terms.blockRewardWei < MIN_BLOCK_REWARD_WEI) {
            revert InvalidTerm("blockRewardWei", terms.blockRewardWei);
        }
        if (terms.targetTestPpm > PPM) revert InvalidTerm("targetTestPpm", terms.targetTestPpm);
        if (terms.blockTimeLimitS == 0 || terms.blockTimeLimitS > MAX_BLOCK_TIME_LIMIT_S) {
            revert InvalidTerm("blockTimeLimitS", terms.blockTimeLimitS);
        }
        if (terms.blockCount == 0 || uint256(terms.blockCount) * terms.blockTimeLimitS > MAX_TASK_S) {
            revert InvalidTerm("blockCount", terms.blockCount);
        }
        if (terms.targetIntervalS == 0 || terms.targetIntervalS > terms.blockTimeLimitS) {
            revert InvalidTerm("targetIntervalS", terms.targetIntervalS);
        }
    }

    /// @dev Under the paper's rules a block is one step, and all of its requirements hold.
    function _checkRules(GradientTerms calldata terms) private pure {
        bool isPaper = terms.rules == Rules.Paper;
        if ((terms.minStep == 0) != isPaper) revert InvalidTerm("minStep", terms.minStep);
        if (isPaper ? terms.maxStep != 0 : terms.maxStep < terms.minStep) {
            revert InvalidTerm("maxStep", terms.maxStep);
        }
        uint32 maxThreshold = isPaper ? 1 : Difficulty.MAX_THRESHOLD;
        if (terms.initialThreshold == 0 || terms.initialThreshold > maxThreshold) {
            revert InvalidTerm("initialThreshold", terms.initialThreshold);
        }
    }
}
