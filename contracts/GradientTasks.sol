// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "./interfaces/IGradientChain.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IndexedHeap} from "./libraries/IndexedHeap.sol";
import {GradientBlocks} from "./GradientBlocks.sol";
import {GradientMiners} from "./GradientMiners.sol";
import {GradientRules, LONGEST_TASK_S} from "./GradientRules.sol";

/// @title GradientTasks
/// @notice The list of gradient tasks and their money. See {IGradientChain}.
/// @dev A task's budget lies in the reservoir's Escrow account of its id.
abstract contract GradientTasks is GradientMiners, GradientBlocks {
    using IndexedHeap for IndexedHeap.Heap;

    uint256 private constant PPM = 1_000_000;
    /// @notice Search time of all blocks together: no task may hold the chain longer, and no sum of times overflows.
    uint32 internal constant MAX_TASK_S = LONGEST_TASK_S;
    /// @notice The first to report a wrong segment of a proposal that is found bad gets one part in so many of its bond.
    uint256 internal constant ACCUSER_SHARE = 10;

    GradientRules private immutable _RULES;
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
        _RULES = new GradientRules();
        MIN_BLOCK_REWARD_WEI = given.minBlockRewardWei;
        VERIFIER_FEE_PPM = given.verifierFeePpm;
        COLLECT_WINDOW_S = given.collectWindowS;
        MAX_BLOCK_TIME_LIMIT_S = given.maxBlockTimeLimitS;
    }

    /// @inheritdoc IGradientChain
    function submit(GradientTerms calldata terms) external payable override returns (uint64 taskId) {
        // Check: the terms can be met, a lost bond covers a ballot, and the payment covers every block.
        _RULES.checkTerms(terms, MIN_BLOCK_REWARD_WEI, MAX_BLOCK_TIME_LIMIT_S);
        uint128 feeWei = _feeOf(terms.blockRewardWei);
        if (feeWei > MINER_BOND_WEI - _accuserPart(MINER_BOND_WEI)) {
            revert FeeAboveBond(feeWei, MINER_BOND_WEI);
        }
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
        uint256 neededWei = blocksLeft * _blockWei(paying);
        uint256 leftWei = _budgetLeft(taskId);
        if (leftWei > neededWei) _creditBudget(taskId, paying.client, leftWei - neededWei);
    }

    /// @dev A ballot may spend a fee that no block was made for, so the budget may pay for fewer blocks than wanted.
    function _canPayBlock(uint64 taskId) internal view returns (bool) {
        return _budgetLeft(taskId) >= _blockWei(_tasks[taskId]);
    }

    function _threshold(GradientTask storage searched, uint256 searchedS) internal view returns (uint32) {
        if (searched.terms.rules == Rules.Paper) return 1;
        uint256 targetIntervalS = searched.terms.targetIntervalS;
        return _RULES.threshold(
            searched.terms.initialThreshold, searchedS, searched.blocksDone * targetIntervalS, targetIntervalS
        );
    }

    /// @dev Of a lost bond, rounded down. Small: a cheat may be its own accuser.
    function _accuserPart(uint256 bondWei) internal pure returns (uint256) {
        return bondWei / ACCUSER_SHARE;
    }

    function _account(uint64 id) internal pure returns (bytes32) {
        return bytes32(uint256(id));
    }

    /// @dev What one more block costs: its reward and its ballot's fee.
    function _blockWei(GradientTask storage paying) private view returns (uint256) {
        return uint256(paying.terms.blockRewardWei) + paying.feeWei;
    }

    function _budgetLeft(uint64 taskId) private view returns (uint256 amountWei) {
        return RESERVOIR.balanceOf(address(this), IRewardReservoir.Pot.Escrow, _account(taskId));
    }

    /// @dev Rounded up, and at most the reward, so it fits.
    function _feeOf(uint128 rewardWei) private view returns (uint128) {
        return uint128((uint256(rewardWei) * VERIFIER_FEE_PPM + PPM - 1) / PPM);
    }
}
