// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {Headers} from "../../contracts/libraries/Headers.sol";
import {PublicSystem} from "./PublicSystem.sol";
import {VM} from "./Vm.sol";

/// @notice Who can vary PHS, and who knows it when: sequences of the audit (D2, D10).
contract PreviousHashTest is PublicSystem {
    address private constant CLIENT = address(0xC11E);
    address private constant GRINDER = address(0x6219D);
    uint256[] private _all;

    function setUp() public override {
        super.setUp();
        _seat(3);
        _all.push(_word(950_000, 940_000));
    }

    function _toVoted() private returns (uint64 roundId) {
        _submit(CLIENT, 1 ether, 600, 1);
        roundId = _open();
        _publish(CLIENT);
        _commit(_who("miner", 0), "model", 950_000);
        _advance();
        _release(CLIENT);
        _reveal(_who("miner", 0), "model");
        _advance();
        _commitVotes(3, _all);
    }

    /// @dev D2: 3,376 tries off chain gave an all-zero mapping, by trailing calldata of the last call.
    function test_finalise__any_caller_calldata_time_and_tasks__same_header() external {
        uint64 roundId = _toVoted();
        uint256 snapshot = VM.snapshotState();
        for (uint256 i = 0; i < 3; i++) {
            _revealVote(i, _all);
        }
        _tally(_all);
        _advance();
        bytes32 plain = ledger.headerHash(1);
        require(VM.revertToState(snapshot), "no snapshot");

        VM.deal(GRINDER, 10 ether);
        ITaskMarket.TaskTerms memory terms = _terms(GRINDER, 600, 1);
        VM.startPrank(GRINDER);
        uint64 taskId = market.submit{value: 1 ether}(terms, 0);
        market.cancel(taskId);
        market.submit{value: 2 ether}(terms, 0);
        VM.stopPrank();
        for (uint256 i = 3; i > 0; i--) {
            _revealVote(i - 1, _all);
        }
        _pass(600);
        _tally(_all);
        bytes memory data = abi.encodePacked(abi.encodeCall(ILearningChain.advance, (roundId)), uint256(77));
        VM.prank(GRINDER);
        (bool wasDone,) = address(chain).call(data);
        VM.assertTrue(wasDone, "trailing calldata is no reason to refuse");
        VM.assertTrue(ledger.headerHash(1) == plain, "the last callers have changed the header");
    }

    function test_previous_hash__comes_from_the_block_after_the_opening() external {
        _submit(CLIENT, 1 ether, 600, 1);
        uint64 roundId = chain.openRound();
        uint64 anchor = chain.round(roundId).anchorBlock;
        VM.assertEq(anchor, _number + 1, "anchor block");
        for (uint256 i = 0; i < 2; i++) {
            VM.assertTrue(chain.round(roundId).previousHash == bytes32(0), "known before its block is mined");
            VM.prank(CLIENT);
            VM.expectRevert(
                abi.encodeWithSelector(ILearningChain.WrongPreviousHash.selector, roundId, 0, bytes32(0))
            );
            chain.publishKeys(roundId, bytes32(0), _cid("keys"));
            _pass(SECOND_S - 1);
        }
        VM.setBlockhash(anchor, keccak256("anchor"));
        bytes32 expected = Headers.roundHash(ledger.headerHash(0), keccak256("anchor"));
        VM.assertTrue(chain.round(roundId).previousHash == expected, "PHS");
        VM.prank(CLIENT);
        VM.expectRevert(
            abi.encodeWithSelector(ILearningChain.WrongPreviousHash.selector, roundId, expected, SALT)
        );
        chain.publishKeys(roundId, SALT, _cid("keys"));
        _publish(CLIENT);
        _pass(3_600);
        VM.setBlockhash(anchor, keccak256("another"));
        VM.assertTrue(chain.round(roundId).previousHash == expected, "bound once and for all");
    }

    /// @dev Beyond the 256 hashes that the machine knows, it is the block 256 k later, whoever asks.
    function test_previous_hash__bound_late__comes_from_the_newest_block_that_is_known() external {
        uint64 roundId = _openIdle();
        uint64 anchor = chain.round(roundId).anchorBlock;
        for (uint64 age = 1; age < 600; age += 51) {
            VM.roll(anchor + age);
            bytes32 anchorHash = keccak256(abi.encode(age));
            VM.setBlockhash(anchor + (age - 1) / 256 * 256, anchorHash);
            bytes32 expected = Headers.roundHash(ledger.headerHash(0), anchorHash);
            VM.assertTrue(chain.round(roundId).previousHash == expected, "another block");
        }
    }

    /// @dev D11: a commit that was signed before a reorganisation costs its gas only.
    function test_commit__another_previous_hash__reverts() external {
        uint64 roundId = _openIdle();
        bytes32 previousHash = chain.round(roundId).previousHash;
        address miner = _who("miner", 0);
        uint256 amountWei = MINER_BOND_WEI + chain.judgingFeeOf(roundId);
        VM.deal(miner, amountWei);
        VM.prank(miner);
        VM.expectRevert(
            abi.encodeWithSelector(
                ILearningChain.WrongPreviousHash.selector, roundId, previousHash, ~previousHash
            )
        );
        chain.commit{value: amountWei}(roundId, ~previousHash, SALT, 980_000, 0);
        VM.assertEq(miner.balance, amountWei, "it cost something");
    }

    /// @dev D10: models revealed in an aborted round won the next one at the same height.
    function test_previous_hash__models_were_revealed_and_no_block_made__is_another_one() external {
        uint64 roundId = _openIdle();
        bytes32 first = chain.round(roundId).previousHash;
        _commit(_who("honest", 0), "trained model", 980_000);
        _passDeadline();
        _advance();
        _reveal(_who("honest", 0), "trained model");
        _advance();
        uint64 ballotId = chain.round(roundId).ballotId;
        for (uint256 i = 0; i < 4; i++) {
            _pass(committee.ballot(ballotId).deadline - _nowS);
            committee.advance(ballotId);
        }
        _advance();
        require(chain.round(roundId).abortReason == ILearningChain.AbortReason.QuorumLost, "not void");
        VM.assertEq(ledger.height(), 0, "height");
        uint64 second = chain.openIdleRound();
        VM.assertTrue(chain.round(second).previousHash == bytes32(0), "known at the opening");
        _pass(2 * SECOND_S);
        VM.assertTrue(chain.round(second).previousHash != first, "the revealed model fits again");
    }
}
