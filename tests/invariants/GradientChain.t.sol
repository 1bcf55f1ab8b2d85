// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "../../contracts/libraries/Cids.sol";
import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {Difficulty} from "../../contracts/libraries/Difficulty.sol";
import {OmmerFormula} from "../../contracts/libraries/OmmerRewards.sol";
import {GradientChain} from "../../contracts/GradientChain.sol";
import {RewardReservoir} from "../../contracts/RewardReservoir.sol";
import {System} from "./System.sol";
import {VM} from "./Vm.sol";

/// @notice One gradient chain, moved through its states by hand; every refusal by its name and values.
abstract contract GradientSystem is System {
    uint128 internal constant REWARD_WEI = 2_000;
    uint128 internal constant FEE_WEI = 140;
    uint32 internal constant LIMIT_S = 600;
    uint32 internal constant INITIAL = 1 << 20;
    address internal constant CLIENT = address(0xC11E);
    uint256 internal _nowS = 1_700_000_000;
    uint256 internal _number = 100;

    function setUp() public virtual {
        _pass(0);
        _deploy(OmmerFormula.Fraction);
        for (uint160 i = 0; i < 2; i++) {
            _pay(_verifier(i), 3 * MIN_STAKE_WEI);
            VM.prank(_verifier(i));
            committee.stake{value: 3 * MIN_STAKE_WEI}();
        }
        for (uint160 i = 0; i < 9; i++) {
            _enrol(_miner(i));
        }
        _pass(1);
    }

    function _miner(uint160 number) internal pure returns (address) {
        return address(0x11000 + number);
    }

    function _verifier(uint160 number) internal pure returns (address) {
        return address(0x22000 + number);
    }

    function _pass(uint256 seconds_) internal {
        _nowS += seconds_;
        _number++;
        VM.warp(_nowS);
        VM.roll(_number);
    }

    function _pay(address account, uint256 amountWei) internal {
        VM.deal(account, amountWei);
    }

    function _enrol(address miner) internal {
        _pay(miner, GRADIENT_BOND_WEI);
        VM.prank(miner);
        gradient.enrol{value: GRADIENT_BOND_WEI}();
    }

    function _cid(string memory name) internal pure returns (Cid memory) {
        return Cid(Cids.RAW, keccak256(bytes(name)));
    }

    function _terms() internal pure returns (IGradientChain.GradientTerms memory terms) {
        terms.manifest = _cid("manifest");
        terms.genesisWeights = _cid("genesis weights");
        terms.rules = IGradientChain.Rules.Hardened;
        terms.blockRewardWei = REWARD_WEI;
        terms.blockCount = 3;
        terms.targetIntervalS = 60;
        terms.blockTimeLimitS = LIMIT_S;
        terms.minStep = 2;
        terms.maxStep = 300;
        terms.initialThreshold = INITIAL;
    }

    function _submit(IGradientChain.GradientTerms memory terms) internal returns (uint64 taskId) {
        uint256 costWei = gradient.costOf(terms);
        _pay(CLIENT, costWei);
        VM.prank(CLIENT);
        return gradient.submit{value: costWei}(terms);
    }

    function _open(IGradientChain.GradientTerms memory terms) internal {
        _submit(terms);
        gradient.openTask();
        _pass(1);
    }

    function _propose(address miner, uint32 step, uint32 digest) internal {
        uint64 height = gradient.current().height;
        bytes32 previous = gradient.headerHash(height - 1);
        VM.prank(miner);
        gradient.propose(height, previous, step, digest, _cid("proof"), _cid("weights"));
    }

    function _refused(address miner, uint32 step, uint32 digest, bytes memory data) internal {
        uint64 height = gradient.current().height;
        bytes32 previous = gradient.headerHash(height - 1);
        VM.prank(miner);
        VM.expectRevert(data);
        gradient.propose(height, previous, step, digest, _cid("proof"), _cid("weights"));
    }

    function _toVoting(uint160 count) internal {
        for (uint160 i = 0; i < count; i++) {
            _propose(_miner(i), 2, 0);
        }
        _lapse();
        gradient.advance();
        _pass(1);
    }

    /// @dev Past the deadline of the height.
    function _lapse() internal {
        uint256 deadline = gradient.current().deadline;
        if (deadline > _nowS) _pass(deadline - _nowS);
    }

    /// @dev Both verifiers vote so, and the height is settled.
    function _vote(uint256[] memory first, uint256[] memory second) internal {
        uint64 ballotId = gradient.current().ballotId;
        bytes32[2] memory digests = [_digest(ballotId, first), _digest(ballotId, second)];
        for (uint160 i = 0; i < 2; i++) {
            address voter = _verifier(i);
            bytes32 hashed =
                Commitments.vote(address(committee), ballotId, voter, digests[i], bytes32("salt"));
            VM.prank(voter);
            committee.commitVote(ballotId, uint8(i), hashed);
        }
        committee.advance(ballotId);
        for (uint160 i = 0; i < 2; i++) {
            VM.prank(_verifier(i));
            committee.revealVote(ballotId, uint8(i), digests[i], bytes32("salt"), Cid(0, 0));
        }
        uint256[][] memory lists = new uint256[][](digests[0] == digests[1] ? 1 : 2);
        lists[0] = first;
        if (lists.length == 2) lists[1] = second;
        committee.tally(ballotId, lists);
        _pass(1);
        gradient.advance();
        _pass(1);
    }

    function _digest(uint64 ballotId, uint256[] memory words) private view returns (bytes32) {
        return Commitments.ballot(address(committee), ballotId, words);
    }

    /// @param valid bit i: entry i is valid
    function _voteBits(uint256 count, uint256 valid) internal {
        _vote(_words(count, valid), _words(count, valid));
    }

    function _words(uint256 count, uint256 valid) internal pure returns (uint256[] memory words) {
        words = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 scored =
                (((1 << 88) | (uint256(500_000) << 64)) << 96) | (1 << 88) | (uint256(400_000) << 64);
            words[i] = (valid >> i) % 2 == 1 ? scored : uint256(2) << 184;
        }
    }

    function _loseQuorum() internal {
        uint64 ballotId = gradient.current().ballotId;
        while (committee.ballot(ballotId).deadline != 0) {
            uint256 deadline = committee.ballot(ballotId).deadline;
            if (deadline > _nowS) _pass(deadline - _nowS);
            committee.advance(ballotId);
        }
        gradient.advance();
        _pass(1);
    }

    function _expect(bytes memory data) internal {
        VM.expectRevert(data);
    }

    function _phaseIs(IGradientChain.HeightPhase phase) internal view {
        VM.assertEq(uint256(gradient.current().phase), uint256(phase), "phase");
    }

    function _endedAs(IGradientChain.GradientTaskState state, IGradientChain.StopReason reason)
        internal
        view
    {
        _phaseIs(IGradientChain.HeightPhase.Idle);
        VM.assertEq(uint256(gradient.task(1).state), uint256(state), "state");
        VM.assertEq(uint256(gradient.task(1).stopReason), uint256(reason), "reason");
        VM.assertEq(_budget(), 0, "an ended task holds money");
    }

    /// @dev A reservoir whose only operator is the contract that is created after it.
    function _reservoirOfNext() internal returns (IRewardReservoir) {
        address[] memory operators = new address[](1);
        operators[0] = VM.computeCreateAddress(address(this), VM.getNonce(address(this)) + 1);
        return new RewardReservoir(operators, operators);
    }

    function _budget() internal view returns (uint256) {
        return reservoir.balanceOf(address(gradient), IRewardReservoir.Pot.Escrow, bytes32(uint256(1)));
    }
}

/// @notice Deployment, tasks and miners.
contract GradientTasksTest is GradientSystem {
    function test_constructor__parameter_no_task_could_work_with__reverts() external {
        IGradientChain.GradientParameters memory given = gradient.parameters();
        given.minerBondWei = 0;
        _refuse(given, "minerBondWei", 0);
        given = gradient.parameters();
        given.minBlockRewardWei = 0;
        _refuse(given, "minBlockRewardWei", 0);
        given = gradient.parameters();
        given.verifierFeePpm = 1_000_001;
        _refuse(given, "verifierFeePpm", 1_000_001);
        given = gradient.parameters();
        given.collectWindowS = 0;
        _refuse(given, "collectWindowS", 0);
        given = gradient.parameters();
        given.maxBlockTimeLimitS = 0;
        _refuse(given, "maxBlockTimeLimitS", 0);
        given.maxBlockTimeLimitS = 365 days + 1;
        _refuse(given, "maxBlockTimeLimitS", 365 days + 1);
    }

    function test_constructor__wrong_addresses__revert() external {
        IGradientChain.GradientParameters memory given = gradient.parameters();
        IRewardReservoir open = _reservoirOfNext();
        _expect(abi.encodeWithSelector(IRewardReservoir.ZeroAddress.selector));
        new GradientChain(open, IVerifierCommittee(address(0)), given);
        address next = VM.computeCreateAddress(address(this), VM.getNonce(address(this)));
        _expect(abi.encodeWithSelector(IRewardReservoir.NotOperator.selector, next));
        new GradientChain(reservoir, committee, given);
    }

    function test_submit__term_out_of_range__reverts() external {
        IGradientChain.GradientTerms memory terms = _terms();
        terms.manifest.digest = 0;
        _expect(abi.encodeWithSelector(Cids.EmptyDigest.selector));
        gradient.submit(terms);
        terms = _terms();
        terms.genesisWeights.codec = 1;
        _expect(abi.encodeWithSelector(Cids.UnsupportedCodec.selector, 1));
        gradient.submit(terms);
        terms = _terms();
        terms.blockRewardWei = MIN_REWARD_WEI - 1;
        _refuse(terms, "blockRewardWei", MIN_REWARD_WEI - 1);
        terms = _terms();
        terms.targetTestPpm = 1_000_001;
        _refuse(terms, "targetTestPpm", 1_000_001);
    }

    function test_submit__time_or_count_out_of_range__reverts() external {
        IGradientChain.GradientTerms memory terms = _terms();
        terms.blockTimeLimitS = 0;
        _refuse(terms, "blockTimeLimitS", 0);
        terms.blockTimeLimitS = 3_601;
        _refuse(terms, "blockTimeLimitS", 3_601);
        terms = _terms();
        terms.blockCount = 0;
        _refuse(terms, "blockCount", 0);
        terms.blockCount = type(uint32).max;
        _refuse(terms, "blockCount", type(uint32).max);
        terms = _terms();
        terms.targetIntervalS = 0;
        _refuse(terms, "targetIntervalS", 0);
        terms.targetIntervalS = LIMIT_S + 1;
        _refuse(terms, "targetIntervalS", LIMIT_S + 1);
    }

    function test_submit__steps_or_threshold_against_the_rules__reverts() external {
        IGradientChain.GradientTerms memory terms = _terms();
        terms.minStep = 0;
        _refuse(terms, "minStep", 0);
        terms.minStep = 301;
        _refuse(terms, "maxStep", 300);
        terms = _terms();
        terms.initialThreshold = 0;
        _refuse(terms, "initialThreshold", 0);
        terms.initialThreshold = Difficulty.MAX_THRESHOLD + 1;
        _refuse(terms, "initialThreshold", Difficulty.MAX_THRESHOLD + 1);
        terms = _terms();
        terms.rules = IGradientChain.Rules.Paper;
        _refuse(terms, "minStep", 2);
        terms.minStep = 0;
        _refuse(terms, "maxStep", 300);
        terms.maxStep = 0;
        _refuse(terms, "initialThreshold", INITIAL);
    }

    function test_submit__wrong_money__reverts() external {
        IGradientChain.GradientTerms memory terms = _terms();
        uint256 costWei = gradient.costOf(terms);
        VM.assertEq(costWei, 3 * (REWARD_WEI + FEE_WEI), "cost");
        _expect(abi.encodeWithSelector(IGradientChain.WrongPayment.selector, 0, costWei));
        gradient.submit(terms);
        terms.blockRewardWei = 10_001;
        _expect(abi.encodeWithSelector(IGradientChain.FeeAboveBond.selector, 701, GRADIENT_BOND_WEI));
        gradient.submit(terms);
    }

    function test_cancel__not_pending_or_not_the_client__reverts() external {
        IGradientChain.GradientTaskState none = IGradientChain.GradientTaskState.None;
        _expect(abi.encodeWithSelector(IGradientChain.NotPending.selector, 1, none));
        gradient.cancel(1);
        _submit(_terms());
        _expect(abi.encodeWithSelector(IGradientChain.NotClient.selector, 1, CLIENT, address(this)));
        gradient.cancel(1);
        VM.prank(CLIENT);
        gradient.cancel(1);
        _endedAs(IGradientChain.GradientTaskState.Cancelled, IGradientChain.StopReason.None);
        VM.assertEq(reservoir.creditOf(CLIENT), 3 * (REWARD_WEI + FEE_WEI), "refund");
    }

    function test_open_task__none_pending_or_another_active__reverts() external {
        _expect(abi.encodeWithSelector(IGradientChain.NoPendingTask.selector));
        gradient.openTask();
        _open(_terms());
        _submit(_terms());
        VM.assertEq(gradient.pendingCount(), 1, "pending");
        _expect(abi.encodeWithSelector(IGradientChain.TaskActive.selector, 1));
        gradient.openTask();
    }

    function test_enrol__wrong_bond_or_enrolled_or_leaving__reverts() external {
        _expect(abi.encodeWithSelector(IGradientChain.WrongBond.selector, 0, GRADIENT_BOND_WEI));
        gradient.enrol();
        VM.prank(_miner(0));
        _expect(abi.encodeWithSelector(IGradientChain.AlreadyEnrolled.selector, _miner(0)));
        gradient.enrol();
        VM.prank(_miner(0));
        gradient.requestExit();
        VM.prank(_miner(0));
        _expect(abi.encodeWithSelector(IGradientChain.StillLeaving.selector, _miner(0), _nowS + 60));
        gradient.enrol();
    }

    function test_exit__not_enrolled_or_not_leaving_or_too_early__reverts() external {
        _expect(abi.encodeWithSelector(IGradientChain.NotEnrolled.selector, address(this)));
        gradient.requestExit();
        _expect(abi.encodeWithSelector(IGradientChain.NotLeaving.selector, address(this)));
        gradient.completeExit();
        VM.startPrank(_miner(0));
        gradient.requestExit();
        _expect(abi.encodeWithSelector(IGradientChain.StillLeaving.selector, _miner(0), _nowS + 60));
        gradient.requestExit();
        _expect(abi.encodeWithSelector(IGradientChain.StillLeaving.selector, _miner(0), _nowS + 60));
        gradient.completeExit();
        _pass(60);
        gradient.completeExit();
        VM.stopPrank();
        VM.assertEq(reservoir.creditOf(_miner(0)), GRADIENT_BOND_WEI, "bond");
        VM.assertEq(gradient.minerOf(_miner(0)).bondWei, 0, "still enrolled");
    }

    function test_exit__proposal_pending__reverts_until_it_is_judged() external {
        _open(_terms());
        _toVoting(1);
        VM.prank(_miner(0));
        gradient.requestExit();
        _pass(60);
        VM.prank(_miner(0));
        _expect(abi.encodeWithSelector(IGradientChain.ProposalPending.selector, _miner(0), 2));
        gradient.completeExit();
        _voteBits(1, 0);
        VM.prank(_miner(0));
        _expect(abi.encodeWithSelector(IGradientChain.NotLeaving.selector, _miner(0)));
        gradient.completeExit();
    }

    function _refuse(IGradientChain.GradientTerms memory terms, bytes32 name, uint256 value) private {
        _expect(abi.encodeWithSelector(IGradientChain.InvalidTerm.selector, name, value));
        gradient.submit(terms);
    }

    function _refuse(IGradientChain.GradientParameters memory given, bytes32 name, uint256 value) private {
        IRewardReservoir open = _reservoirOfNext();
        _expect(abi.encodeWithSelector(IGradientChain.InvalidParameter.selector, name, value));
        new GradientChain(open, committee, given);
    }
}

/// @notice Heights: proposals, ballots, settlement.
contract GradientHeightsTest is GradientSystem {
    function setUp() public override {
        super.setUp();
        _open(_terms());
    }

    function test_propose__not_now__reverts() external {
        bytes32 previous = gradient.headerHash(1);
        _expect(abi.encodeWithSelector(IGradientChain.WrongHeight.selector, 1, 2));
        gradient.propose(1, previous, 2, 0, _cid("proof"), _cid("weights"));
        uint256 deadline = gradient.current().deadline;
        _lapse();
        VM.assertEq(gradient.threshold(), 0, "threshold after the deadline");
        _expect(abi.encodeWithSelector(IGradientChain.DeadlinePassed.selector, 2, deadline));
        gradient.propose(2, previous, 2, 0, _cid("proof"), _cid("weights"));
        gradient.advance();
        _endedAs(IGradientChain.GradientTaskState.Stopped, IGradientChain.StopReason.TimedOut);
        _expect(
            abi.encodeWithSelector(IGradientChain.WrongPhase.selector, 2, IGradientChain.HeightPhase.Idle)
        );
        gradient.propose(2, previous, 2, 0, _cid("proof"), _cid("weights"));
        VM.assertTrue(!gradient.isDue(), "an idle chain is due");
    }

    function test_propose__not_by_this_miner__reverts() external {
        address late = _miner(20);
        _refused(late, 2, 0, abi.encodeWithSelector(IGradientChain.NotEnrolled.selector, late));
        _enrol(late);
        uint64 fixedAt = gradient.headerBlock(1);
        _refused(
            late,
            2,
            0,
            abi.encodeWithSelector(IGradientChain.EnrolledTooLate.selector, late, _number, fixedAt)
        );
        _propose(_miner(0), 2, 0);
        _refused(
            _miner(0), 2, 0, abi.encodeWithSelector(IGradientChain.AlreadyProposed.selector, 2, _miner(0))
        );
    }

    /// @dev The hash could be known to whoever enrols in the very block that fixes it.
    function test_propose__enrolled_in_the_previous_headers_block__reverts() external {
        _lapse();
        gradient.advance();
        _submit(_terms());
        _enrol(_miner(21));
        gradient.openTask();
        _refused(
            _miner(21),
            2,
            0,
            abi.encodeWithSelector(IGradientChain.EnrolledTooLate.selector, _miner(21), _number, _number)
        );
        _propose(_miner(0), 2, 0);
        VM.assertEq(gradient.current().height, 3, "height");
    }

    function test_propose__not_this__reverts() external {
        _refused(_miner(0), 1, 0, abi.encodeWithSelector(IGradientChain.StepOutOfRange.selector, 1, 2, 300));
        _refused(
            _miner(0), 301, 0, abi.encodeWithSelector(IGradientChain.StepOutOfRange.selector, 301, 2, 300)
        );
        uint32 below = gradient.threshold();
        VM.assertTrue(below > INITIAL, "the threshold has not risen");
        _refused(
            _miner(0), 2, below, abi.encodeWithSelector(IGradientChain.DigestNotBelow.selector, below, below)
        );
        _propose(_miner(0), 300, below - 1);
        VM.assertEq(gradient.proposals().length, 1, "proposals");
    }

    function test_propose__eight_and_a_ninth_of_no_higher_bond__reverts() external {
        for (uint160 i = 0; i < 8; i++) {
            VM.assertTrue(!gradient.isDue(), "due too early");
            _propose(_miner(i), 2, 0);
        }
        VM.assertTrue(!gradient.isDue(), "others may have higher bonds");
        _refused(
            _miner(8), 2, 0, abi.encodeWithSelector(IGradientChain.HeightFull.selector, 2, GRADIENT_BOND_WEI)
        );
        _lapse();
        gradient.advance();
        _voteBits(8, 0x80);
        VM.assertTrue(gradient.header(2).miner == _miner(7), "the last one's block");
        VM.assertEq(reservoir.creditOf(CLIENT), 7 * GRADIENT_BOND_WEI, "lost bonds");
        VM.assertEq(_budget(), 2 * (REWARD_WEI + FEE_WEI), "budget");
    }

    function test_advance__not_due__reverts() external {
        IGradientChain.Height memory current = gradient.current();
        _expect(abi.encodeWithSelector(IGradientChain.NotDue.selector, 2, current.phase, current.deadline));
        gradient.advance();
        _toVoting(1);
        VM.assertEq(gradient.threshold(), 0, "threshold while voting");
        _expect(
            abi.encodeWithSelector(IGradientChain.NotDue.selector, 2, IGradientChain.HeightPhase.Voting, 0)
        );
        gradient.advance();
    }

    function test_advance__all_invalid__the_budget_is_whole_again() external {
        _pass(70);
        uint256 searchedS = _nowS - gradient.current().searchStartedAt;
        _toVoting(2);
        _voteBits(2, 0);
        _phaseIs(IGradientChain.HeightPhase.Search);
        VM.assertEq(_nowS - 1 - gradient.current().searchStartedAt, searchedS, "search time");
        VM.assertEq(_budget(), 3 * (REWARD_WEI + FEE_WEI), "budget");
        VM.assertEq(reservoir.creditOf(CLIENT), 2 * GRADIENT_BOND_WEI - FEE_WEI, "lost bonds");
    }

    function test_advance__all_blocks_mined__completes() external {
        _toVoting(2);
        _voteBits(2, 3);
        _toVoting(2);
        _voteBits(2, 2);
        _propose(_miner(1), 2, 0);
        _lapse();
        gradient.advance();
        _voteBits(1, 1);
        _endedAs(IGradientChain.GradientTaskState.Completed, IGradientChain.StopReason.None);
        VM.assertEq(reservoir.creditOf(_miner(0)), REWARD_WEI, "the first block's miner");
        VM.assertEq(reservoir.creditOf(_miner(1)), 2 * REWARD_WEI, "the others'");
    }

    function test_advance__target_reached__completes() external {
        _lapse();
        gradient.advance();
        IGradientChain.GradientTerms memory terms = _terms();
        terms.targetTestPpm = 400_000;
        _open(terms);
        _toVoting(1);
        _voteBits(1, 1);
        VM.assertEq(uint256(gradient.task(2).state), 3, "not completed");
    }

    function test_advance__void_ballots__cost_nothing() external {
        for (uint256 i = 0; i < 2; i++) {
            _toVoting(1);
            _loseQuorum();
            VM.assertEq(gradient.current().voidBallots, i + 1, "void ballots");
            VM.assertEq(_budget(), 3 * (REWARD_WEI + FEE_WEI), "budget");
        }
        _toVoting(1);
        _loseQuorum();
        _endedAs(IGradientChain.GradientTaskState.Stopped, IGradientChain.StopReason.QuorumLost);
        VM.assertEq(reservoir.creditOf(CLIENT), 3 * (REWARD_WEI + FEE_WEI), "all of it");
    }

    function test_advance__undecided__costs_no_bond_and_no_fee() external {
        _toVoting(1);
        _vote(_words(1, 1), _words(1, 0));
        _phaseIs(IGradientChain.HeightPhase.Search);
        VM.assertEq(gradient.current().voidBallots, 1, "void ballots");
        VM.assertEq(gradient.minerOf(_miner(0)).bondWei, GRADIENT_BOND_WEI, "bond");
        VM.assertEq(_budget(), 3 * (REWARD_WEI + FEE_WEI), "budget");
        VM.assertEq(reservoir.creditOf(CLIENT), 0, "client");
    }

    /// @dev They agree on the test accuracy alone: that earns the fee, and makes no block.
    function test_advance__undecided_but_paid__stops_when_the_budget_is_short() external {
        _toVoting(1);
        uint256[] memory other = _words(1, 1);
        other[0] += 1 << 160;
        _vote(_words(1, 1), other);
        VM.assertEq(_budget(), 3 * (REWARD_WEI + FEE_WEI) - FEE_WEI, "budget");
        for (uint256 i = 0; i < 2; i++) {
            _phaseIs(IGradientChain.HeightPhase.Search);
            _toVoting(1);
            _voteBits(1, 1);
        }
        _endedAs(IGradientChain.GradientTaskState.Stopped, IGradientChain.StopReason.QuorumLost);
        VM.assertEq(reservoir.creditOf(CLIENT), REWARD_WEI, "the block that was not made");
    }

    function test_propose__higher_bond_at_a_full_height__takes_the_last_lowest_place() external {
        address rich = _miner(30);
        _lapse();
        gradient.advance();
        _pay(rich, GRADIENT_BOND_WEI + 1);
        VM.prank(rich);
        gradient.enrol{value: GRADIENT_BOND_WEI + 1}();
        _pass(1);
        _open(_terms());
        for (uint160 i = 0; i < 8; i++) {
            _propose(_miner(i), 2, 0);
        }
        _propose(rich, 2, 0);
        VM.assertTrue(gradient.proposals()[7].miner == rich, "not the last");
        VM.assertTrue(!gradient.minerOf(_miner(7)).hasProposal, "the displaced is bound");
        _lapse();
        gradient.advance();
        _voteBits(8, 0x80);
        VM.assertTrue(gradient.header(3).miner == rich, "whose block");
        VM.assertEq(gradient.minerOf(_miner(7)).bondWei, GRADIENT_BOND_WEI, "the displaced lost its bond");
    }

    function test_advance__nobody_seated__the_search_stands_still_and_lapses() external {
        for (uint160 i = 0; i < 2; i++) {
            VM.prank(_verifier(i));
            committee.requestUnstake();
        }
        uint256 deadline = gradient.current().deadline;
        _pass(10);
        VM.assertEq(gradient.current().deadline, deadline + 10, "deadline");
        VM.assertEq(gradient.threshold(), 0, "threshold");
        _refused(_miner(0), 2, 0, abi.encodeWithSelector(IGradientChain.TooFewSeated.selector));
        _pass(LIMIT_S + SEAT_WAIT_S);
        gradient.advance();
        _endedAs(IGradientChain.GradientTaskState.Stopped, IGradientChain.StopReason.TimedOut);
        VM.assertEq(reservoir.creditOf(CLIENT), 3 * (REWARD_WEI + FEE_WEI), "all of it");
    }

    function test_advance__paper_rules__needs_every_requirement() external {
        _lapse();
        gradient.advance();
        IGradientChain.GradientTerms memory terms = _terms();
        terms.rules = IGradientChain.Rules.Paper;
        (terms.minStep, terms.maxStep, terms.initialThreshold) = (0, 0, 1);
        _open(terms);
        _pass(LIMIT_S / 2);
        _refused(_miner(0), 0, 1, abi.encodeWithSelector(IGradientChain.DigestNotBelow.selector, 1, 1));
        _propose(_miner(0), 0, 0);
        _phaseIs(IGradientChain.HeightPhase.Collect);
    }

    function test_report_segments__not_a_member_or_no_such_ballot__reverts() external {
        bytes4 wrong = IGradientChain.WrongPhase.selector;
        _expect(abi.encodeWithSelector(wrong, 2, IGradientChain.HeightPhase.Search));
        gradient.reportSegments(1, 0, 0, 1);
        _toVoting(1);
        _expect(abi.encodeWithSelector(wrong, 2, IGradientChain.HeightPhase.Voting));
        gradient.reportSegments(2, 0, 0, 1);
        _expect(abi.encodeWithSelector(IVerifierCommittee.NotMember.selector, 1, address(this)));
        gradient.reportSegments(1, 0, 0, 1);
        VM.startPrank(_verifier(0));
        gradient.reportSegments(1, 0, 0, 1);
        _expect(abi.encodeWithSelector(IGradientChain.AlreadyReported.selector, 1, _verifier(0), 0));
        gradient.reportSegments(1, 0, 0, 0);
        _expect(abi.encodeWithSelector(IGradientChain.UnknownEntry.selector, 1, 1));
        gradient.reportSegments(1, 0, 1, 1);
        VM.stopPrank();
    }

    function test_header__beyond_the_newest__reverts() external {
        _expect(abi.encodeWithSelector(IGradientChain.UnknownHeight.selector, 2));
        gradient.header(2);
        VM.assertTrue(gradient.header(1).previousHash == gradient.headerHash(0), "previous hash");
    }
}

contract DifficultyTest {
    function testFuzz_threshold__any_arguments__is_in_range_and_rises(
        uint32 initial,
        uint32 searchedS,
        uint32 scheduledS,
        uint32 targetS
    ) external pure {
        if (initial == 0 || initial > Difficulty.MAX_THRESHOLD) {
            initial = 1 + initial % Difficulty.MAX_THRESHOLD;
        }
        if (targetS == 0) targetS = 1;
        uint32 sooner = Difficulty.threshold(initial, searchedS, scheduledS, targetS);
        uint32 later = Difficulty.threshold(initial, uint256(searchedS) + 1, scheduledS, targetS);
        VM.assertTrue(sooner >= 1 && later <= Difficulty.MAX_THRESHOLD && later >= sooner, "out of order");
    }

    function testFuzz_threshold__whole_half_lives__are_powers_of_two(uint32 initial, uint8 doublings)
        external
        pure
    {
        initial = 1 + initial % Difficulty.MAX_THRESHOLD;
        uint256 times = doublings % 30;
        uint256 halfLifeS = Difficulty.HALF_LIFE_INTERVALS * 60;
        uint256 scheduledS = 30 * halfLifeS;
        uint256 up = uint256(initial) << times;
        uint256 down = initial >> times;
        if (up > Difficulty.MAX_THRESHOLD) up = Difficulty.MAX_THRESHOLD;
        if (down == 0) down = 1;
        VM.assertEq(Difficulty.threshold(initial, scheduledS + times * halfLifeS, scheduledS, 60), up, "up");
        VM.assertEq(
            Difficulty.threshold(initial, scheduledS - times * halfLifeS, scheduledS, 60), down, "down"
        );
    }
}
