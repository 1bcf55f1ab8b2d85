// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBlockLedger} from "../../contracts/interfaces/IBlockLedger.sol";
import {AnchorSource, IArbSys} from "../../contracts/libraries/Anchors.sol";
import {Headers} from "../../contracts/libraries/Headers.sol";
import {ArbSysStandIn} from "../../contracts/test/ArbSysStandIn.sol";
import {PublicSystem} from "./PublicSystem.sol";
import {VM} from "./Vm.sol";

/// @notice What every source has in common: who writes PHS down when, and that nobody does it twice.
abstract contract KeptAnchorTest is PublicSystem {
    address internal constant ANYBODY = address(0xA17B0D);

    /// @dev The value that block `number` will have, or that its successors will read of it.
    function _foretell(uint64 number, bytes32 value) internal virtual;
    function _lag() internal pure virtual returns (uint64);
    /// @dev The first block whose transactions can write the anchor down.
    function _firstOf(uint64 anchor) internal pure virtual returns (uint64);

    function test_keep_anchor__any_time__only_from_its_block_on_and_once() external {
        uint64 roundId = _openIdle();
        uint64 anchor = chain.round(roundId).anchorBlock;
        uint64 first = _firstOf(anchor);
        VM.roll(first - 1);
        VM.expectRevert(abi.encodeWithSelector(IBlockLedger.AnchorNotKnown.selector, anchor));
        ledger.keepAnchor(anchor);

        VM.roll(first);
        _foretell(anchor, keccak256("anchor"));
        VM.assertTrue(chain.round(roundId).previousHash == bytes32(0), "known before it is kept");
        VM.prank(ANYBODY);
        ledger.keepAnchor(anchor);
        bytes32 expected = Headers.roundHash(ledger.headerHash(0), keccak256("anchor"));
        VM.assertTrue(chain.round(roundId).previousHash == expected, "PHS");

        VM.roll(first + 1_000);
        _foretell(anchor, keccak256("another"));
        VM.expectRevert(abi.encodeWithSelector(IBlockLedger.AnchorNotToKeep.selector, anchor));
        ledger.keepAnchor(anchor);
        VM.assertTrue(chain.round(roundId).previousHash == expected, "stays what it is");
        _commit(ANYBODY, "model", 980_000);
    }

    function test_opening__any_block__anchor_is_a_later_one() external {
        uint256 openedAt = _number;
        uint64 roundId = chain.openIdleRound();
        VM.assertEq(chain.round(roundId).anchorBlock, openedAt + _lag(), "anchor block");
    }
}

contract KeptBlockHashTest is KeptAnchorTest {
    function _anchor() internal pure virtual override returns (AnchorSource) {
        return AnchorSource.KeptBlockHash;
    }

    function _foretell(uint64 number, bytes32 value) internal override {
        if (block.number <= number + 256) VM.setBlockhash(number, value);
    }

    function _lag() internal pure override returns (uint64) {
        return 1;
    }

    function _firstOf(uint64 anchor) internal pure override returns (uint64) {
        return anchor + 1;
    }

    /// @dev Beyond the 256 hashes that the machine knows, it is the block 256 k later, whoever asks.
    function test_keep_anchor__late__takes_the_newest_block_that_is_known() external {
        uint64 roundId = _openIdle();
        uint64 anchor = chain.round(roundId).anchorBlock;
        VM.roll(anchor + 600);
        VM.setBlockhash(anchor + 512, keccak256("later"));
        ledger.keepAnchor(anchor);
        bytes32 expected = Headers.roundHash(ledger.headerHash(0), keccak256("later"));
        VM.assertTrue(chain.round(roundId).previousHash == expected, "another block");
    }
}

contract ArbSysTest is KeptBlockHashTest {
    address private constant ARB_SYS = address(0x64);

    function setUp() public override {
        VM.etch(ARB_SYS, address(new ArbSysStandIn()).code);
        super.setUp();
    }

    function _anchor() internal pure override returns (AnchorSource) {
        return AnchorSource.ArbSys;
    }
}

contract PrevRandaoTest is KeptAnchorTest {
    function _anchor() internal pure override returns (AnchorSource) {
        return AnchorSource.PrevRandao;
    }

    function _foretell(uint64, bytes32 value) internal override {
        VM.prevrandao(uint256(value));
    }

    function _lag() internal pure override returns (uint64) {
        return 8;
    }

    function _firstOf(uint64 anchor) internal pure override returns (uint64) {
        return anchor;
    }
}

/// @notice The default, which nobody has to write down.
contract BlockHashTest is PublicSystem {
    function test_keep_anchor__read_when_needed__reverts() external {
        uint64 roundId = _openIdle();
        uint64 anchor = chain.round(roundId).anchorBlock;
        VM.expectRevert(abi.encodeWithSelector(IBlockLedger.AnchorNotToKeep.selector, anchor));
        ledger.keepAnchor(anchor);
    }
}
