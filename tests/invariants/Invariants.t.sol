// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {IBlockLedger} from "../../contracts/interfaces/IBlockLedger.sol";
import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {OmmerFormula} from "../../contracts/libraries/OmmerRewards.sol";
import {Books} from "./Books.sol";
import {Handler} from "./Handler.sol";
import {FuzzSelector, VM} from "./Vm.sol";

/// @notice The invariants of docs/invariants.md, checked after every call of every campaign.
abstract contract Invariants {
    Handler internal handler;

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](14);
        selectors[0] = Handler.clientSubmits.selector;
        selectors[1] = Handler.clientCancels.selector;
        selectors[2] = Handler.minerCommits.selector;
        selectors[3] = Handler.verifierStakes.selector;
        selectors[4] = Handler.verifierLeaves.selector;
        selectors[5] = Handler.payeeWithdraws.selector;
        selectors[6] = Handler.roundGoesOn.selector;
        selectors[7] = Handler.nobodyActs.selector;
        selectors[8] = Handler.timePasses.selector;
        selectors[9] = Handler.intruderTries.selector;
        selectors[10] = Handler.gradientClientActs.selector;
        selectors[11] = Handler.gradientMinerActs.selector;
        selectors[12] = Handler.gradientGoesOn.selector;
        selectors[13] = Handler.cheaterTries.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    /// @notice I11: after everything has ended and everybody has withdrawn, the reservoir is empty.
    function afterInvariant() external {
        handler.windUp();
        _checkTransitions();
        VM.assertEq(address(handler.reservoir()).balance, 0, "I11: ether is stuck in the reservoir");
        VM.assertEq(handler.openAccounts().length, 0, "I11: an account still holds money");
        VM.assertEq(handler.reservoir().totalCredits(), 0, "I11: a credit cannot be withdrawn");
    }

    function _checkSums() internal view {
        IRewardReservoir reservoir = handler.reservoir();
        uint256 sumWei = reservoir.totalCredits();
        for (uint8 pot = 0; pot < 3; pot++) {
            uint256 totalWei = reservoir.total(IRewardReservoir.Pot(pot));
            sumWei += totalWei;
            VM.assertEq(totalWei, handler.potWei(IRewardReservoir.Pot(pot)), "I2: a pot is not its accounts");
        }
        VM.assertEq(
            address(reservoir).balance, sumWei, "I1: the balance is not the sum of the pots and credits"
        );
    }

    function _checkAccounts() internal view {
        IRewardReservoir reservoir = handler.reservoir();
        Books.Account[] memory accounts = handler.openAccounts();
        for (uint256 i = 0; i < accounts.length; i++) {
            Books.Account memory booked = accounts[i];
            uint256 balanceWei = reservoir.balanceOf(booked.keeper, booked.pot, booked.account);
            VM.assertEq(balanceWei, booked.amountWei, "I2: an account is not what its events say");
        }
        address[] memory payees = handler.payees();
        for (uint256 i = 0; i < payees.length; i++) {
            uint256 creditWei = reservoir.creditOf(payees[i]);
            VM.assertEq(creditWei, handler.owedWei(payees[i]), "I2: a credit is not what its events say");
        }
        VM.assertEq(reservoir.totalCredits(), handler.totalOwedWei(), "I2: the credits do not add up");
    }

    /// @dev What each keeper's accounts hold is what the contracts' own state says they should.
    function _checkKeepers() internal view {
        ITaskMarket market = handler.market();
        IVerifierCommittee committee = handler.committee();
        uint256 escrowWei = _pendingWei(market);
        uint256 bondsWei;
        bool isAnyOpen = handler.gradient().current().phase == IGradientChain.HeightPhase.Voting;
        for (uint256 i = 0; i < handler.LANES(); i++) {
            ILearningChain chain = handler.chains(i);
            isAnyOpen = isAnyOpen || handler.isRoundOpenOn(chain);
            escrowWei += _ofRound(chain, IRewardReservoir.Pot.Escrow);
            bondsWei += _ofRound(chain, IRewardReservoir.Pot.Bond);
            VM.assertEq(
                address(chain).balance, _committedWei(chain), "I3: a lane holds what was committed to it"
            );
        }
        VM.assertEq(_held(address(market), IRewardReservoir.Pot.Escrow), escrowWei, "I3, I4: tasks' escrow");
        VM.assertEq(_held(address(market), IRewardReservoir.Pot.Bond), bondsWei, "I3, I4: rounds' bonds");
        VM.assertEq(
            _held(address(committee), IRewardReservoir.Pot.Stake), _stakesWei(committee), "I3: stakes"
        );
        _checkGradientKeeper();
        if (isAnyOpen) return;
        VM.assertEq(_held(address(committee), IRewardReservoir.Pot.Escrow), 0, "I4: a fee was left over");
    }

    /// @dev What lies in the account of a lane's round; nothing once it has ended.
    function _ofRound(ILearningChain chain, IRewardReservoir.Pot pot) private view returns (uint256) {
        if (!handler.isRoundOpenOn(chain)) return 0;
        uint64 taskId = chain.round(chain.roundCount()).taskId;
        uint256 account = taskId == 0 ? uint256(uint160(address(chain))) : taskId;
        return handler.reservoir().balanceOf(address(handler.market()), pot, bytes32(account));
    }

    /// @dev Bonds and judging fees wait in the lane while commits are open.
    function _committedWei(ILearningChain chain) private view returns (uint256 committedWei) {
        uint64 roundId = chain.roundCount();
        ILearningChain.Phase phase = chain.round(roundId).phase;
        if (phase != ILearningChain.Phase.Training && phase != ILearningChain.Phase.Overtime) return 0;
        ILearningChain.Submission[] memory all = chain.submissions(roundId);
        committedWei = all.length * chain.judgingFeeOf(roundId);
        for (uint256 i = 0; i < all.length; i++) {
            committedWei += all[i].bondWei;
        }
    }

    /// @dev Each task's account is what its blocks still cost; each bond is its miner's.
    function _checkGradientKeeper() private view {
        IGradientChain gradient = handler.gradient();
        uint256 budgetsWei;
        for (uint64 taskId = gradient.taskCount(); taskId > 0; taskId--) {
            budgetsWei += handler.budgetOf(taskId);
        }
        VM.assertEq(
            _held(address(gradient), IRewardReservoir.Pot.Escrow), budgetsWei, "I28: gradient tasks' budgets"
        );
        uint256 bondsWei;
        address[] memory miners = handler.gradientMiners();
        for (uint256 i = 0; i < miners.length; i++) {
            bondsWei += gradient.minerOf(miners[i]).bondWei;
        }
        VM.assertEq(
            _held(address(gradient), IRewardReservoir.Pot.Bond), bondsWei, "I28: gradient miners' bonds"
        );
    }

    function _checkTransitions() internal view {
        string memory violation = handler.violation();
        VM.assertTrue(bytes(violation).length == 0, violation);
    }

    /// @dev Headers form one chain, and each paid at most R_w, R_r <= R_w and R_w/32.
    function _checkBlocks() internal view {
        uint256 height;
        for (uint256 i = 0; i < handler.LANES(); i++) {
            height += _checkLedger(handler.ledgers(i));
        }
        IGradientChain gradient = handler.gradient();
        uint64 gradientHeight = gradient.height();
        if (gradientHeight > 0) {
            bytes32 previousHash = gradient.header(gradientHeight).previousHash;
            VM.assertTrue(
                previousHash == gradient.headerHash(gradientHeight - 1),
                "I26: a gradient header does not name the one before"
            );
        }
        uint256 winnerReward = handler.ledger().parameters().winnerReward;
        uint256 supply = handler.token().totalSupply();
        uint256 references = handler.seen(IBlockLedger.OmmerReferenced.selector);
        VM.assertTrue(
            supply >= height * winnerReward + references * (winnerReward / 32), "I22: a reward was not issued"
        );
        uint256 most = height * winnerReward + references * (winnerReward + winnerReward / 32);
        VM.assertTrue(supply <= most, "I22: more was issued than blocks and ommers earn");
    }

    function _checkLedger(IBlockLedger ledger) private view returns (uint64 height) {
        height = ledger.height();
        if (height == 0) return height;
        bytes32 previousHash = ledger.header(height).previousHash;
        VM.assertTrue(
            previousHash == ledger.headerHash(height - 1), "I9: a header does not name the one before"
        );
    }

    function _held(address keeper, IRewardReservoir.Pot pot) private view returns (uint256) {
        return handler.heldWei(keeper, pot);
    }

    function _pendingWei(ITaskMarket market) private view returns (uint256 escrowWei) {
        uint256 count = market.pendingCount();
        (uint64[] memory listed, uint256[] memory values) = market.pending(0, count + 1);
        VM.assertEq(listed.length, count, "I5: the list is not as long as it says");
        for (uint256 i = 0; i < count; i++) {
            ITaskMarket.Task memory task = market.task(listed[i]);
            VM.assertTrue(
                task.state == ITaskMarket.TaskState.Pending
                    && handler.stateOf(listed[i]) == ITaskMarket.TaskState.Pending,
                "I5: a task is not in the state announced"
            );
            VM.assertTrue(i == 0 || values[i - 1] >= values[i], "I5: the list is out of order");
            VM.assertEq(values[i], market.valueOf(listed[i]), "I5: a value");
            escrowWei += uint256(task.rewardWei) + task.verifierFeeWei + task.bondWei;
        }
    }

    function _stakesWei(IVerifierCommittee committee) private view returns (uint256 stakesWei) {
        address[] memory verifiers = handler.verifiers();
        for (uint256 i = 0; i < verifiers.length; i++) {
            stakesWei += committee.verifier(verifiers[i]).stakeWei;
        }
    }
}

/// @notice Four campaigns: each invariant below is one, over the equation (2) of the paper in one of its two readings.
contract FractionInvariants is Invariants {
    function setUp() external {
        handler = new Handler(OmmerFormula.Fraction);
    }

    function invariant_balance_is_the_sum_of_escrows_bonds_stakes_and_credits() external view {
        _checkSums();
    }

    function invariant_accounts_hold_what_their_keepers_owe() external view {
        _checkAccounts();
        _checkKeepers();
    }
}

contract PrintedInvariants is Invariants {
    function setUp() external {
        handler = new Handler(OmmerFormula.Printed);
    }

    function invariant_no_forbidden_transition() external view {
        _checkTransitions();
    }

    function invariant_headers_and_rewards_follow_the_blocks() external view {
        _checkSums();
        _checkBlocks();
    }
}
