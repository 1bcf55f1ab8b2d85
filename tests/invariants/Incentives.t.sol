// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {PublicSystem} from "./PublicSystem.sol";
import {VM} from "./Vm.sol";

/// @notice Who could hold the chain, fill a round or end its overtime, and for how much: sequences of the audit (D1, D6,
/// D13), with the figures of the `public` profile.
contract IncentivesTest is PublicSystem {
    address private constant HONEST = address(0x4011E57);
    address private constant HOLDER = address(0x401DE2);
    uint256 private constant DAYS_14 = 14 days;

    function setUp() public override {
        super.setUp();
        _seat(3);
    }

    /// @dev With the least reward that is worth more per second than the honest task's, and the least time limit.
    function _outbid(uint32 limitS) private returns (uint64 taskId) {
        uint256 honestValue = market.valueOf(1);
        uint256 rewardWei = ((honestValue + 1) * (uint256(limitS) + 21_600) >> 32) + 1;
        taskId = _submit(HOLDER, rewardWei * 10 / 9 + 2, limitS, 64);
        require(market.mostValuable() == taskId, "did not outbid");
    }

    function _lostWei(address account, uint256 paidWei) private view returns (uint256) {
        return paidWei - reservoir.creditOf(account);
    }

    // --- D1 ---

    /// @dev 0.25 ETH held the chain for ever, and none of it was lost.
    function _hold(uint32 limitS) private returns (uint256 lostWei) {
        _submit(HONEST, 1 ether, 600, 1);
        uint256 startS = _nowS;
        uint256 paidWei;
        while (_nowS - startS < DAYS_14) {
            uint256 before = HOLDER.balance;
            uint64 taskId = _outbid(limitS);
            ITaskMarket.Task memory task = market.task(taskId);
            paidWei += CLIENT_BOND_WEI + task.rewardWei + task.verifierFeeWei;
            require(HOLDER.balance == before, "the bid was not paid");
            uint64 roundId = _open();
            require(chain.round(roundId).taskId == taskId, "the honest task got in");
            _pass(3_540);
            _publish(HOLDER);
            _passDeadline();
            _advance();
            _passDeadline();
            _advance();
        }
        require(market.task(1).state == ITaskMarket.TaskState.Pending, "the honest task got in");
        return _lostWei(HOLDER, paidWei);
    }

    function test_hold_the_chain__least_time_limit__costs_ten_times_the_honest_reward() external {
        VM.assertTrue(_hold(60) >= 10 * 0.9 ether, "holding the chain is too cheap");
    }

    function test_hold_the_chain__longest_time_limit__costs_ten_times_the_honest_reward() external {
        VM.assertTrue(_hold(7 days) >= 10 * 0.9 ether, "holding the chain is too cheap");
    }

    function test_hold_the_chain__without_keys__costs_more() external {
        _submit(HONEST, 1 ether, 600, 1);
        uint256 startS = _nowS;
        uint256 paidWei;
        while (_nowS - startS < DAYS_14) {
            ITaskMarket.Task memory task = market.task(_outbid(60));
            paidWei += CLIENT_BOND_WEI + task.rewardWei + task.verifierFeeWei;
            _open();
            _passDeadline();
            _advance();
        }
        VM.assertTrue(_lostWei(HOLDER, paidWei) >= 30 ether, "withholding keys is too cheap");
    }

    function test_occupancy__honest_week_without_a_solution__a_fifth_at_most() external {
        _submit(HONEST, 10 ether, 7 days, 1);
        uint256 rewardWei = market.task(1).rewardWei;
        _open();
        _publish(HONEST);
        _passDeadline();
        _advance();
        _passDeadline();
        _advance();
        uint256 lostWei = _lostWei(HONEST, 10 ether + CLIENT_BOND_WEI);
        VM.assertTrue(lostWei > 0 && lostWei <= rewardWei / 5, "an honest long task pays too much");
        uint256 earnedWei;
        for (uint256 i = 0; i < 3; i++) {
            earnedWei += reservoir.creditOf(_who("verifier", i));
        }
        VM.assertEq(earnedWei, lostWei, "what was lost went elsewhere");
    }

    function test_submit__less_than_the_least_time_limit__reverts() external {
        ITaskMarket.TaskTerms memory terms = _terms(HOLDER, 59, 1);
        VM.deal(HOLDER, 2 ether);
        VM.prank(HOLDER);
        VM.expectRevert(abi.encodeWithSelector(ITaskMarket.InvalidTimeLimit.selector, 59, 60, 7 days));
        market.submit{value: 2 ether}(terms, 0);
    }

    // --- D6 ---

    function _fill(uint256 count) private {
        for (uint256 i = 0; i < count; i++) {
            _commit(_who("sybil", i), string(abi.encodePacked("variant", bytes32(i))), 950_000);
        }
    }

    /// @dev 64 variants closed a week-long round in minutes and got all bonds and 0.9 of the payment back.
    function test_fill_a_round__with_equals__costs_more_than_it_pays() external {
        _submit(HONEST, 1 ether, 7 days, 64);
        _open();
        _publish(HONEST);
        _fill(64);
        _passDeadline();
        _advance();
        _release(HONEST);
        uint256[] memory vote = new uint256[](64);
        for (uint256 i = 0; i < 64; i++) {
            _reveal(_who("sybil", i), string(abi.encodePacked("variant", bytes32(i))));
            vote[i] = _word(950_000, 940_000);
        }
        _advance();
        _vote(3, vote);
        _advance();
        uint256 gotWei;
        for (uint256 i = 0; i < 64; i++) {
            gotWei += reservoir.creditOf(_who("sybil", i));
        }
        uint256 paidWei = 64 * (MINER_BOND_WEI + chain.judgingFeeOf(1));
        VM.assertTrue(ledger.height() == 1 && gotWei >= 64 * MINER_BOND_WEI + 0.9 ether, "they did not win");
        // A third of the stake does not change it.
        VM.assertTrue((paidWei - 64 * MINER_BOND_WEI) * 2 / 3 > 0.9 ether, "filling a round pays");
        VM.assertTrue(paidWei > gotWei, "filling a round pays");
    }

    function test_commit__full_round_and_a_higher_bond__displaces_the_last_of_the_lowest() external {
        _submit(HONEST, 1 ether, 7 days, 64);
        _open();
        _publish(HONEST);
        _fill(64);
        address miner = _who("honest", 0);
        uint256 feeWei = chain.judgingFeeOf(1);
        VM.deal(miner, 1 ether);
        bytes32 previousHash = chain.round(1).previousHash;
        VM.prank(miner);
        VM.expectRevert(abi.encodeWithSelector(ILearningChain.RoundFull.selector, 1, MINER_BOND_WEI));
        chain.commit{value: MINER_BOND_WEI + feeWei}(1, previousHash, SALT, 950_000, 0);
        _commitWith(miner, "honest model", 950_000, MINER_BOND_WEI + feeWei + 1 gwei);
        VM.assertEq(reservoir.creditOf(_who("sybil", 63)), MINER_BOND_WEI + feeWei, "not all came back");
        VM.assertEq(chain.placeOf(1, _who("sybil", 63)), 0, "still in the round");
        VM.assertTrue(chain.submission(1, 63).miner == miner, "not in its place");
        VM.assertEq(chain.round(1).qualifiedCount, 64, "qualified");
    }

    function test_advance__enough_before_the_earliest_close__waits_for_it() external {
        ITaskMarket.TaskTerms memory terms = _terms(HONEST, 7 days, 4);
        terms.earliestCloseS = 2 days;
        VM.deal(HONEST, 2 ether);
        VM.prank(HONEST);
        market.submit{value: 2 ether}(terms, 0);
        _open();
        _publish(HONEST);
        _fill(4);
        _pass(2 days - 1);
        VM.assertTrue(!chain.isDue(1), "closed before its time");
        _pass(1);
        VM.assertTrue(chain.isDue(1), "open after its time");
    }

    function test_judging_fee__nobody_seated_to_judge__returns() external {
        _submit(HONEST, 1 ether, 600, 1);
        _open();
        _publish(HONEST);
        _commit(_who("miner", 0), "model", 950_000);
        for (uint256 i = 0; i < 3; i++) {
            VM.prank(_who("verifier", i));
            committee.requestUnstake();
        }
        uint256 feeWei = chain.judgingFeeOf(1);
        _pass(600);
        VM.assertTrue(!chain.isDue(1), "closed with nobody to judge");
        _pass(7 days);
        chain.advance(1);
        VM.assertEq(reservoir.creditOf(_who("miner", 0)), MINER_BOND_WEI + feeWei, "miner");
        VM.assertEq(reservoir.creditOf(HONEST), 1 ether + CLIENT_BOND_WEI, "client");
    }

    function test_judging_fee__void_ballot__returns() external {
        _submit(HONEST, 1 ether, 600, 1);
        _open();
        _publish(HONEST);
        _commit(_who("miner", 0), "model", 950_000);
        _advance();
        _release(HONEST);
        _reveal(_who("miner", 0), "model");
        _advance();
        uint256 feeWei = chain.judgingFeeOf(1);
        uint64 ballotId = chain.round(1).ballotId;
        for (uint256 i = 0; i < 4; i++) {
            _pass(committee.ballot(ballotId).deadline - _nowS);
            committee.advance(ballotId);
        }
        _advance();
        VM.assertEq(reservoir.creditOf(_who("miner", 0)), MINER_BOND_WEI + feeWei, "miner");
        VM.assertTrue(reservoir.creditOf(HONEST) >= 1 ether + CLIENT_BOND_WEI, "client");
    }

    // --- D13 ---

    /// @dev One false claim of 0.1 ETH cancelled overtime, whatever the number of solutions wanted.
    function test_false_claim__beside_an_unqualified_model__the_model_wins() external {
        _submit(HONEST, 1 ether, 600, 64);
        _open();
        _publish(HONEST);
        _commit(_who("liar", 0), "nothing", 1_000_000);
        _commit(_who("miner", 0), "nearly", 890_000);
        _passDeadline();
        _advance();
        _release(HONEST);
        _reveal(_who("miner", 0), "nearly");
        _passDeadline();
        _advance();
        uint256[] memory vote = new uint256[](1);
        vote[0] = _word(890_000, 880_000);
        _vote(3, vote);
        _advance();
        VM.assertTrue(ledger.header(1).winner == _who("miner", 0), "no block");
        VM.assertEq(reservoir.creditOf(_who("miner", 0)), MINER_BOND_WEI + 0.9 ether, "miner");
        VM.assertEq(reservoir.creditOf(_who("liar", 0)), 0, "liar");
        VM.assertEq(ledger.ommerCount(1), 0, "ommers");
    }

    function test_unqualified__beside_a_qualified_one__ranks_behind_it_and_keeps_its_bond() external {
        _submit(HONEST, 1 ether, 600, 64);
        _open();
        _publish(HONEST);
        _commit(_who("miner", 0), "generalises", 890_000);
        _commit(_who("miner", 1), "qualifies", 900_000);
        _passDeadline();
        _advance();
        _release(HONEST);
        _reveal(_who("miner", 0), "generalises");
        _reveal(_who("miner", 1), "qualifies");
        _advance();
        uint256[] memory vote = new uint256[](2);
        (vote[0], vote[1]) = (_word(890_000, 880_000), _word(900_000, 500_000));
        _vote(3, vote);
        _advance();
        VM.assertTrue(ledger.header(1).winner == _who("miner", 1), "winner");
        VM.assertEq(reservoir.creditOf(_who("miner", 0)), MINER_BOND_WEI, "bond");
        VM.assertEq(ledger.ommerCount(1), 0, "ommers");
    }

    function test_rank__test_set_is_out__the_best_by_it_wins_and_not_by_train() external {
        _submit(HONEST, 1 ether, 600, 64);
        _open();
        _publish(HONEST);
        _commit(_who("miner", 0), "fits", 990_000);
        _commit(_who("miner", 1), "generalises", 940_000);
        _passDeadline();
        _advance();
        _release(HONEST);
        _reveal(_who("miner", 0), "fits");
        _reveal(_who("miner", 1), "generalises");
        _advance();
        uint256[] memory vote = new uint256[](2);
        (vote[0], vote[1]) = (_word(990_000, 900_000), _word(940_000, 930_000));
        _vote(3, vote);
        _advance();
        VM.assertTrue(ledger.header(1).winner == _who("miner", 1), "winner");
        VM.assertEq(ledger.header(1).testPpm, 930_000, "test accuracy");
        VM.assertEq(ledger.ommerCount(1), 1, "ommers");
    }

    // --- replaceable commits, raisable rewards ---

    function test_commit__replaced__costs_no_second_bond_and_loses_its_place_among_equals() external {
        _submit(HONEST, 1 ether, 600, 64);
        _open();
        _publish(HONEST);
        _commit(_who("miner", 0), "first", 880_000);
        _commit(_who("miner", 1), "other", 950_000);
        _commitWith(_who("miner", 0), "second", 950_000, 0);
        VM.assertEq(chain.round(1).submissionCount, 2, "submissions");
        VM.assertEq(chain.round(1).qualifiedCount, 2, "qualified");
        _passDeadline();
        _advance();
        _release(HONEST);
        _reveal(_who("miner", 0), "second");
        _reveal(_who("miner", 1), "other");
        _advance();
        uint256[] memory vote = new uint256[](2);
        (vote[0], vote[1]) = (_word(950_000, 900_000), _word(950_000, 900_000));
        _vote(3, vote);
        _advance();
        VM.assertTrue(ledger.header(1).winner == _who("miner", 1), "the later commit won");
        VM.assertEq(reservoir.creditOf(_who("miner", 0)), MINER_BOND_WEI, "bond");
    }

    function test_raise_reward__pending__moves_up_the_list() external {
        uint64 low = _submit(HONEST, 1 ether, 600, 1);
        uint64 high = _submit(HOLDER, 2 ether, 600, 1);
        VM.assertEq(market.mostValuable(), high, "before");
        VM.deal(HONEST, 3 ether);
        VM.prank(HONEST);
        market.raiseReward{value: 1.5 ether}(low, 0);
        VM.assertEq(market.mostValuable(), low, "after");
        VM.assertEq(market.task(low).rewardWei, 2.25 ether, "reward");
        VM.assertEq(market.task(low).verifierFeeWei, 0.25 ether, "fee");
        VM.prank(HOLDER);
        VM.expectRevert(abi.encodeWithSelector(ITaskMarket.NotClient.selector, low, HONEST, HOLDER));
        market.raiseReward{value: 0}(low, 0);
        VM.prank(HONEST);
        market.cancel(low);
        VM.assertEq(reservoir.creditOf(HONEST), 2.5 ether + CLIENT_BOND_WEI, "not all came back");
    }
}
