// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IBlockLedger} from "./interfaces/IBlockLedger.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IRewardToken} from "./interfaces/IRewardToken.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";
import {AnchorSource, Anchors} from "./libraries/Anchors.sol";
import {Cid} from "./libraries/Cids.sol";
import {Entry} from "./libraries/Entries.sol";
import {Header, Headers} from "./libraries/Headers.sol";
import {OmmerFormula, OmmerRewards} from "./libraries/OmmerRewards.sol";
import {Ranking} from "./libraries/Ranking.sol";
import {RoundJudgement} from "./RoundJudgement.sol";

/// @title BlockLedger
/// @notice See the documentation in {IBlockLedger}.
contract BlockLedger is RoundJudgement {
    /// @dev A block as it is kept: what never changes lies in the code of a contract without functions.
    /// @param code holds the header and the `KeptOmmer`s
    /// @param ommerCount O_num
    /// @param referenced bit i: ommer i has been referenced
    struct Block {
        address code;
        uint16 ommerCount;
        uint8 referenced;
    }

    /// @param word miner, train ppm above it and test ppm above that
    struct KeptOmmer {
        uint256 word;
        bytes32 hash;
    }

    /// @dev Each of the next `MAX_DEPTH` blocks can reference one ommer, so no more of a height can ever be paid.
    uint256 private constant MAX_OMMERS = OmmerRewards.MAX_DEPTH;
    uint256 private constant TRAIN_SHIFT = 160;
    uint256 private constant TEST_SHIFT = 192;

    /// @custom:security non-reentrant
    IRewardToken public immutable TOKEN;
    address public immutable CHAIN;
    uint128 private immutable WINNER_REWARD;
    OmmerFormula private immutable OMMER_FORMULA;
    AnchorSource private immutable ANCHOR;

    /// @inheritdoc IBlockLedger
    uint64 public override height;
    mapping(uint64 atHeight => Block) private _blocks;
    mapping(uint64 anchorBlock => bytes32) private _anchors;

    /// @param chain the only one that appends blocks
    /// @param genesisModel what the genesis header names; nobody trained it
    constructor(IRewardToken token, address chain, LedgerParameters memory given, Cid memory genesisModel) {
        if (address(token) == address(0) || chain == address(0)) revert IRewardReservoir.ZeroAddress();
        TOKEN = token;
        CHAIN = chain;
        WINNER_REWARD = given.winnerReward;
        OMMER_FORMULA = given.ommerFormula;
        ANCHOR = given.anchor;
        Header memory genesis;
        genesis.model = genesisModel;
        // No two ledgers may begin alike: PHS of two lanes would be the same.
        genesis.roundHash = keccak256(abi.encode(Anchors.latest(given.anchor), address(this)));
        genesis.timestamp = uint64(block.timestamp);
        _keep(0, genesis, new bytes32[](0), new KeptOmmer[](0));
    }

    /// @inheritdoc IBlockLedger
    function conclude(IVerifierCommittee committee, Case calldata given)
        external
        override
        returns (Findings memory found)
    {
        if (msg.sender != CHAIN) revert NotChain(msg.sender);
        Voting memory voting = _look(committee, given);
        Judgement memory judged = _judge(voting, given);
        found.undecidedCount = judged.undecidedCount;
        if (given.firstBallotId == 0 && judged.undecidedCount != 0) return found;
        found.valid = judged.valid;
        found.unjudged = judged.unjudged;
        found.isDataWithheld = judged.isDataWithheld;
        if (judged.valid == 0) return found;
        uint256 contenders = judged.qualified != 0 ? judged.qualified : judged.valid;
        bool hasTestSet = given.testSetHash != bytes32(0) && !judged.isDataWithheld;
        bool isByTest = hasTestSet && contenders & ~judged.tested == 0;
        uint256[] memory best =
            Ranking.best(_scores(judged, given.entries, contenders, isByTest), 1 + MAX_OMMERS);
        found.winner = best[0];
        found.isBelowFloor =
            judged.qualified == 0 && isByTest && judged.verdicts[best[0]].testPpm < given.minTestPpm;
        if (found.isBelowFloor) return found;
        _append(voting.transcript, given, judged, best, hasTestSet);
    }

    /// @inheritdoc IBlockLedger
    function keepAnchor(uint64 anchorBlock) external override {
        if (ANCHOR == AnchorSource.BlockHash || _anchors[anchorBlock] != bytes32(0)) {
            revert AnchorNotToKeep(anchorBlock);
        }
        bytes32 value = Anchors.valueOf(ANCHOR, anchorBlock);
        if (value == bytes32(0)) revert AnchorNotKnown(anchorBlock);
        _anchors[anchorBlock] = value;
        emit AnchorKept(anchorBlock, value);
    }

    /// @inheritdoc IBlockLedger
    function nextAnchor() external view override returns (uint64) {
        return Anchors.next(ANCHOR);
    }

    /// @inheritdoc IBlockLedger
    function anchorValue(uint64 anchorBlock) external view override returns (bytes32) {
        return ANCHOR == AnchorSource.BlockHash ? Anchors.valueOf(ANCHOR, anchorBlock) : _anchors[anchorBlock];
    }

    /// @inheritdoc IBlockLedger
    function parameters() external view override returns (LedgerParameters memory) {
        return LedgerParameters(WINNER_REWARD, OMMER_FORMULA, ANCHOR);
    }

    /// @inheritdoc IBlockLedger
    function headerHash(uint64 atHeight) public view override returns (bytes32) {
        return Headers.hash(header(atHeight));
    }

    /// @inheritdoc IBlockLedger
    function header(uint64 atHeight) public view override returns (Header memory found) {
        _checkHeight(atHeight);
        (found,) = _kept(_blocks[atHeight].code);
    }

    /// @inheritdoc IBlockLedger
    function ommers(uint64 atHeight) external view override returns (Ommer[] memory all) {
        _checkHeight(atHeight);
        Block memory found = _blocks[atHeight];
        (, KeptOmmer[] memory kept) = _kept(found.code);
        all = new Ommer[](kept.length);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = Ommer({
                miner: address(uint160(kept[i].word)),
                trainPpm: uint32(kept[i].word >> TRAIN_SHIFT),
                testPpm: uint32(kept[i].word >> TEST_SHIFT),
                isReferenced: (found.referenced >> i) & 1 == 1,
                hash: kept[i].hash
            });
        }
    }

    /// @inheritdoc IBlockLedger
    function ommerCount(uint64 atHeight) external view override returns (uint16) {
        _checkHeight(atHeight);
        return _blocks[atHeight].ommerCount;
    }

    /// @inheritdoc IBlockLedger
    function isIncluded(uint64 atHeight, uint256 index, bytes32 value, bytes32[] calldata proof)
        external
        view
        override
        returns (bool)
    {
        return Headers.isIncluded(header(atHeight).bodyRoot, index, value, proof);
    }

    /// @dev Everything in a header was fixed when the votes were committed, but for what is withheld after that.
    /// @param best positions of the winner and its ommers
    function _append(
        bytes32 transcript,
        Case calldata given,
        Judgement memory judged,
        uint256[] memory best,
        bool hasTestSet
    ) private {
        bytes32[] memory body = _body(transcript, given, hasTestSet);
        height++;
        Header memory added;
        added.height = height;
        added.taskId = given.taskId;
        added.winner = given.entries[best[0]].miner;
        added.previousHash = headerHash(height - 1);
        added.model = _model(given.entries[best[0]]);
        added.trainPpm = judged.verdicts[best[0]].trainPpm;
        added.testPpm = judged.verdicts[best[0]].testPpm;
        added.ommerHash = _referenceOmmer(added.winner);
        added.bodyRoot = Headers.bodyRoot(body);
        added.roundHash = given.roundHash;
        added.timestamp = given.timestamp;
        _keep(
            given.roundId,
            added,
            body,
            judged.qualified == 0 ? new KeptOmmer[](0) : _ommersOf(given.entries, judged, best)
        );
        if (judged.qualified != 0) _blocks[height].ommerCount = uint16(_size(judged.qualified) - 1);
        _mint(added.winner, WINNER_REWARD);
    }

    /// @dev What a block commits to. `Source: PoLe, section 3.3`
    function _body(bytes32 transcript, Case calldata given, bool hasTestSet)
        private
        pure
        returns (bytes32[] memory body)
    {
        body = new bytes32[](5);
        body[0] = given.taskListHash;
        body[1] = given.newTasksHash;
        body[2] = given.manifestHash;
        body[3] = transcript;
        if (hasTestSet) body[4] = given.testSetHash;
    }

    function _ommersOf(Entry[] calldata entries, Judgement memory judged, uint256[] memory best)
        private
        returns (KeptOmmer[] memory kept)
    {
        kept = new KeptOmmer[](best.length - 1);
        for (uint256 i = 0; i < kept.length; i++) {
            Entry calldata entry = entries[best[i + 1]];
            IVerifierCommittee.Verdict memory verdict = judged.verdicts[best[i + 1]];
            bytes32 hash =
                keccak256(abi.encode(height, entry.miner, _model(entry), verdict.trainPpm, verdict.testPpm));
            kept[i] = KeptOmmer(
                uint256(uint160(entry.miner)) | (uint256(verdict.trainPpm) << TRAIN_SHIFT)
                    | (uint256(verdict.testPpm) << TEST_SHIFT),
                hash
            );
            emit OmmerAdded(height, entry.miner, verdict.testPpm, hash);
        }
    }

    /// @dev References the best unreferenced ommer of the last heights, if there is one, in the block at `height`.
    function _referenceOmmer(address winner) private returns (bytes32) {
        (uint64 ommerHeight, uint256 index, KeptOmmer memory best) = _bestOmmer();
        if (ommerHeight == 0) return bytes32(0);
        Block storage referenced = _blocks[ommerHeight];
        referenced.referenced |= uint8(1 << index);
        address miner = address(uint160(best.word));
        uint256 ommerReward =
            OmmerRewards.rewardDown(OMMER_FORMULA, WINNER_REWARD, height, ommerHeight, referenced.ommerCount);
        uint256 referenceReward = WINNER_REWARD / OmmerRewards.REFERENCE_DIVISOR;
        emit OmmerReferenced(height, ommerHeight, miner, ommerReward, referenceReward);
        _mint(miner, ommerReward);
        _mint(winner, referenceReward);
        return best.hash;
    }

    function _mint(address to, uint256 amount) private {
        TOKEN.mint(to, amount);
    }

    function _keep(uint64 roundId, Header memory added, bytes32[] memory body, KeptOmmer[] memory kept)
        private
    {
        _blocks[added.height].code = Clones.cloneWithImmutableArgs(address(0), abi.encode(added, kept));
        emit BlockAppended(added.height, roundId, Headers.hash(added), added, body);
    }

    /// @return bestHeight 0 if there is none: genesis has no ommers
    function _bestOmmer() private view returns (uint64 bestHeight, uint256 bestIndex, KeptOmmer memory best) {
        uint256 oldest = height > OmmerRewards.MAX_DEPTH ? height - OmmerRewards.MAX_DEPTH : 1;
        for (uint64 atHeight = uint64(oldest); atHeight < height; atHeight++) {
            Block memory looked = _blocks[atHeight];
            if (looked.ommerCount == 0) continue;
            (, KeptOmmer[] memory kept) = _kept(looked.code);
            for (uint256 i = 0; i < kept.length; i++) {
                if ((looked.referenced >> i) & 1 == 1) continue;
                if (bestHeight != 0 && kept[i].word >> TEST_SHIFT <= best.word >> TEST_SHIFT) continue;
                (bestHeight, bestIndex, best) = (atHeight, i, kept[i]);
            }
        }
    }

    function _kept(address code) private view returns (Header memory, KeptOmmer[] memory) {
        return abi.decode(Clones.fetchCloneArgs(code), (Header, KeptOmmer[]));
    }

    function _checkHeight(uint64 atHeight) private view {
        if (atHeight > height) revert UnknownHeight(atHeight);
    }

    function _model(Entry calldata entry) private pure returns (Cid memory) {
        return Cid(entry.modelCodec, entry.digest);
    }
}
