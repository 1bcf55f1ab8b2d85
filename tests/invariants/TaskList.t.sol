// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {RewardReservoir} from "../../contracts/RewardReservoir.sol";
import {TaskMarket} from "../../contracts/TaskMarket.sol";
import {VM} from "./Vm.sol";

/// @notice The market's list against a plain one, over sequences and hints that the fuzzer chooses. This contract is the
/// client of all tasks, and the only lane.
contract TaskListTest {
    uint256 private constant UNIT_WEI = 1 gwei;
    uint256 private constant BOND_WEI = 7;
    uint256 private constant WINDOWS_S = 600;
    uint256 private constant FEE_PPM = 100_000;
    uint256 private constant MAX_STEPS = 16;

    TaskMarket private _market;
    /// @dev The pending tasks, most valuable first; among equals the one that took its place first.
    uint64[] private _ids;
    mapping(uint64 id => uint256) private _paidWei;
    mapping(uint64 id => uint256) private _limitS;
    uint64 private _last;

    function setUp() external {
        address[] memory operators = new address[](1);
        uint64 nonce = VM.getNonce(address(this));
        operators[0] = VM.computeCreateAddress(address(this), nonce + 1);
        address[] memory lanes = new address[](1);
        lanes[0] = address(this);
        RewardReservoir reservoir = new RewardReservoir(operators, operators);
        _market = new TaskMarket(
            reservoir,
            lanes,
            ITaskMarket.MarketParameters({
                clientBondWei: uint128(BOND_WEI),
                minRewardWei: 1,
                verifierFeePpm: uint32(FEE_PPM),
                maxTimeLimitS: 1 days,
                minTimeLimitS: 60,
                roundWindowsS: uint32(WINDOWS_S)
            })
        );
        VM.deal(address(this), 1 ether);
    }

    /// forge-config: quick.fuzz.runs = 64
    /// @param steps each submits or raises (to one of few values, so that ties are common), cancels, or pops
    function testFuzz_market__any_hints__matches_a_plain_list(uint256[64] calldata steps) external {
        for (uint256 i = 0; i < steps.length; i++) {
            uint256 kind = steps[i] % 8;
            uint64 hint = uint64(steps[i] >> 8) % (_last + 3);
            uint256 seed = steps[i] >> 72;
            if (kind < 4 || _ids.length == 0) _submit(hint, seed);
            else if (kind < 6) _raise(_ids[seed % _ids.length], hint);
            else if (kind == 6) _cancel(seed % _ids.length);
            else _pop();
            _check();
        }
    }

    /// @notice Among many tasks a hint at random is too far away more often than not.
    /// forge-config: quick.fuzz.runs = 64
    function testFuzz_long_list__far_hints_revert_and_near_ones_do_not(uint256 seed) external {
        for (uint64 i = 0; i < 40; i++) {
            _submit(i, uint256(keccak256(abi.encode(seed, i))));
        }
        for (uint64 i = 0; i < 8; i++) {
            uint256 drawn = uint256(keccak256(abi.encode(seed, "hint", i)));
            _submit(uint64(drawn % (_last + 3)), drawn >> 64);
        }
        _check();
    }

    function _submit(uint64 hint, uint256 seed) private {
        uint256 paymentWei = (2 + seed % 7) * UNIT_WEI;
        uint256 limitS = 60 << ((seed >> 8) % 3);
        (uint256 place, bool isNear) = _placeFrom(hint, _value(paymentWei, limitS));
        if (!isNear) VM.expectRevert(abi.encodeWithSelector(ITaskMarket.StaleHint.selector, hint));
        _market.submit{value: paymentWei + BOND_WEI}(_terms(limitS), hint);
        if (!isNear) return;
        (_paidWei[++_last], _limitS[_last]) = (paymentWei, limitS);
        _insert(place, _last);
    }

    function _raise(uint64 id, uint64 hint) private {
        uint256 was = _remove(_indexOf(id));
        uint256 paymentWei = _paidWei[id] + UNIT_WEI;
        uint64 start = hint != id ? hint : was == 0 ? 0 : _ids[was - 1];
        (uint256 place, bool isNear) = _placeFrom(start, _value(paymentWei, _limitS[id]));
        if (!isNear) VM.expectRevert(abi.encodeWithSelector(ITaskMarket.StaleHint.selector, start));
        _market.raiseReward{value: UNIT_WEI}(id, hint);
        _insert(isNear ? place : was, id);
        if (isNear) _paidWei[id] = paymentWei;
    }

    function _cancel(uint256 index) private {
        uint64 id = _ids[index];
        _remove(index);
        _market.cancel(id);
    }

    function _pop() private {
        uint64 first = _ids[0];
        _remove(0);
        VM.assertEq(_market.popMostValuable(), first, "popped another one than the most valuable");
        _market.close(first, ITaskMarket.TaskState.Refunded);
    }

    function _check() private view {
        VM.assertEq(_market.pendingCount(), _ids.length, "the list lost or kept a task");
        (uint64[] memory ids, uint256[] memory values) = _market.pending(0, _ids.length + 1);
        VM.assertEq(ids.length, _ids.length, "the list ends too early or too late");
        for (uint256 i = 0; i < ids.length; i++) {
            VM.assertEq(ids[i], _ids[i], "another order");
            VM.assertEq(values[i], _valueOf(ids[i]), "another value");
        }
    }

    // --- the plain list ----------------------------------------------------------------------------------------------

    /// @return place behind all that are worth as much
    /// @return isNear whether the hint (the task that it goes behind; one that is not there: the front) is near enough
    function _placeFrom(uint64 hint, uint256 value) private view returns (uint256 place, bool isNear) {
        while (place < _ids.length && _valueOf(_ids[place]) >= value) place++;
        uint256 found = _indexOf(hint);
        uint256 start = found == _ids.length ? 0 : found + 1;
        isNear = (start > place ? start - place : place - start) <= MAX_STEPS;
    }

    function _indexOf(uint64 id) private view returns (uint256 index) {
        while (index < _ids.length && _ids[index] != id) index++;
    }

    function _insert(uint256 place, uint64 id) private {
        _ids.push(id);
        for (uint256 i = _ids.length - 1; i > place; i--) {
            _ids[i] = _ids[i - 1];
        }
        _ids[place] = id;
    }

    function _remove(uint256 index) private returns (uint256) {
        for (uint256 i = index; i + 1 < _ids.length; i++) {
            _ids[i] = _ids[i + 1];
        }
        _ids.pop();
        return index;
    }

    function _valueOf(uint64 id) private view returns (uint256) {
        return _value(_paidWei[id], _limitS[id]);
    }

    function _value(uint256 paymentWei, uint256 limitS) private pure returns (uint256) {
        return (paymentWei * (1_000_000 - FEE_PPM) / 1_000_000 << 32) / (limitS + WINDOWS_S);
    }

    function _terms(uint256 limitS) private pure returns (ITaskMarket.TaskTerms memory) {
        return ITaskMarket.TaskTerms({
            manifest: Cid(Cids.RAW, keccak256("manifest")),
            testSetCommitment: keccak256("test set"),
            timeLimitS: uint32(limitS),
            requiredTrainPpm: 1,
            minTestPpm: 1,
            solutionsWanted: 1,
            earliestCloseS: 0
        });
    }
}
