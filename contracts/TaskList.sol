// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {Cid} from "./libraries/Cids.sol";

/// @title TaskList
/// @notice All tasks in four words each, and the pending ones in the order of their values. See {ITaskMarket}.
/// @dev A doubly linked ring whose links lie in the tasks themselves; task 0, which does not exist, is where it closes:
/// behind it is the most valuable task. Whoever adds a task says where, so that nobody pays for the length of the list.
abstract contract TaskList is ITaskMarket {
    using SafeCast for uint256;

    /// @param ahead the pending task before this one, 0 for the first; without meaning unless pending
    /// @param behind the one after it, 0 for the last
    struct Kept {
        address client;
        uint96 paymentWei;
        uint24 timeLimitS;
        uint24 requiredTrainPpm;
        uint24 minTestPpm;
        uint24 earliestCloseS;
        uint8 solutionsWanted;
        uint8 manifestCodec;
        TaskState state;
        uint8 lane;
        uint64 ahead;
        uint64 behind;
        bytes32 manifestDigest;
        bytes32 testSetCommitment;
    }

    uint256 internal constant PPM = 1_000_000;
    /// @notice How many tasks a stale hint may be away from a task's place.
    uint256 public constant MAX_STEPS = 16;

    uint128 internal immutable CLIENT_BOND_WEI;
    uint32 internal immutable VERIFIER_FEE_PPM;
    uint32 internal immutable ROUND_WINDOWS_S;
    /// @inheritdoc ITaskMarket
    uint64 public override taskCount;
    /// @inheritdoc ITaskMarket
    uint64 public override pendingCount;
    mapping(uint64 taskId => Kept) internal _tasks;

    constructor(MarketParameters memory given) {
        CLIENT_BOND_WEI = given.clientBondWei;
        VERIFIER_FEE_PPM = given.verifierFeePpm;
        ROUND_WINDOWS_S = given.roundWindowsS;
    }

    /// @inheritdoc ITaskMarket
    function task(uint64 taskId) external view override returns (Task memory viewed) {
        Kept memory kept = _tasks[taskId];
        if (kept.client == address(0)) return viewed;
        uint256 feeWei = _feeOf(kept.paymentWei);
        return Task({
            terms: TaskTerms({
                manifest: Cid(kept.manifestCodec, kept.manifestDigest),
                testSetCommitment: kept.testSetCommitment,
                timeLimitS: kept.timeLimitS,
                requiredTrainPpm: kept.requiredTrainPpm,
                minTestPpm: kept.minTestPpm,
                solutionsWanted: kept.solutionsWanted,
                earliestCloseS: kept.earliestCloseS
            }),
            client: kept.client,
            rewardWei: uint128(kept.paymentWei - feeWei),
            verifierFeeWei: uint128(feeWei),
            bondWei: CLIENT_BOND_WEI,
            state: kept.state,
            lane: kept.lane
        });
    }

    /// @inheritdoc ITaskMarket
    function mostValuable() public view override returns (uint64 taskId) {
        return _tasks[0].behind;
    }

    /// @inheritdoc ITaskMarket
    // slither-disable-next-line assembly: it only shortens the two arrays
    function pending(uint64 from, uint256 count)
        external
        view
        override
        returns (uint64[] memory taskIds, uint256[] memory values)
    {
        uint256 room = Math.min(count, pendingCount);
        (taskIds, values) = (new uint64[](room), new uint256[](room));
        uint64 next = _isPending(from) ? _tasks[from].behind : mostValuable();
        uint256 found;
        for (; found < room && next != 0; found++) {
            (taskIds[found], values[found]) = (next, valueOf(next));
            next = _tasks[next].behind;
        }
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(taskIds, found)
            mstore(values, found)
        }
    }

    /// @inheritdoc ITaskMarket
    function valueOf(uint64 taskId) public view override returns (uint256) {
        Kept storage valued = _tasks[taskId];
        return _valueOf(valued.paymentWei, valued.timeLimitS);
    }

    /// @dev Writes a pending task down, in its place.
    function _add(uint64 taskId, TaskTerms calldata terms, uint256 paymentWei, uint64 hint) internal {
        uint64 ahead = _placeFrom(hint, _valueOf(paymentWei, terms.timeLimitS));
        uint64 behind = _tasks[ahead].behind;
        _tasks[taskId] = Kept({
            client: msg.sender,
            paymentWei: paymentWei.toUint96(),
            timeLimitS: uint24(terms.timeLimitS),
            requiredTrainPpm: uint24(terms.requiredTrainPpm),
            minTestPpm: uint24(terms.minTestPpm),
            earliestCloseS: uint24(terms.earliestCloseS),
            solutionsWanted: uint8(terms.solutionsWanted),
            manifestCodec: terms.manifest.codec,
            state: TaskState.Pending,
            lane: 0,
            ahead: ahead,
            behind: behind,
            manifestDigest: terms.manifest.digest,
            testSetCommitment: terms.testSetCommitment
        });
        _tasks[ahead].behind = taskId;
        _tasks[behind].ahead = taskId;
        pendingCount++;
    }

    /// @dev To another place, for another payment.
    function _reprice(uint64 taskId, uint256 paymentWei, uint64 hint) internal {
        Kept storage repriced = _tasks[taskId];
        if (hint == taskId) hint = repriced.ahead;
        _unlink(repriced);
        repriced.paymentWei = paymentWei.toUint96();
        uint64 ahead = _placeFrom(hint, _valueOf(paymentWei, repriced.timeLimitS));
        uint64 behind = _tasks[ahead].behind;
        (repriced.ahead, repriced.behind) = (ahead, behind);
        _tasks[ahead].behind = taskId;
        _tasks[behind].ahead = taskId;
    }

    function _remove(uint64 taskId) internal {
        _unlink(_tasks[taskId]);
        pendingCount--;
    }

    function _unlink(Kept storage unlinked) private {
        (uint64 ahead, uint64 behind) = (unlinked.ahead, unlinked.behind);
        _tasks[ahead].behind = behind;
        _tasks[behind].ahead = ahead;
    }

    /// @dev Among equals the one that was there is first.
    /// @param hint the task that it goes behind, or one at most `MAX_STEPS` from that; 0: the front. One that is not on the
    /// list any more counts as 0
    function _placeFrom(uint64 hint, uint256 value) private view returns (uint64 ahead) {
        ahead = _isPending(hint) ? hint : 0;
        uint256 steps;
        while (ahead != 0 && valueOf(ahead) < value) {
            if (steps++ == MAX_STEPS) revert StaleHint(hint);
            ahead = _tasks[ahead].ahead;
        }
        uint64 behind = _tasks[ahead].behind;
        while (behind != 0 && valueOf(behind) >= value) {
            if (steps++ == MAX_STEPS) revert StaleHint(hint);
            (ahead, behind) = (behind, _tasks[behind].behind);
        }
    }

    function _isPending(uint64 taskId) internal view returns (bool) {
        return _tasks[taskId].state == TaskState.Pending;
    }

    function _valueOf(uint256 paymentWei, uint256 timeLimitS) private view returns (uint256) {
        return ((paymentWei - _feeOf(paymentWei)) << 32) / (timeLimitS + ROUND_WINDOWS_S);
    }

    /// @dev The verifiers' part of a payment, rounded up.
    function _feeOf(uint256 paymentWei) internal view returns (uint256) {
        return Math.mulDiv(paymentWei, VERIFIER_FEE_PPM, PPM, Math.Rounding.Ceil);
    }
}
