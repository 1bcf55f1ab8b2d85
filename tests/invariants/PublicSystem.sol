// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBlockLedger} from "../../contracts/interfaces/IBlockLedger.sol";
import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {IRewardReservoir} from "../../contracts/interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {AnchorSource} from "../../contracts/libraries/Anchors.sol";
import {OmmerFormula} from "../../contracts/libraries/OmmerRewards.sol";
import {BlockLedger} from "../../contracts/BlockLedger.sol";
import {LearningChain} from "../../contracts/LearningChain.sol";
import {RewardReservoir} from "../../contracts/RewardReservoir.sol";
import {RewardToken} from "../../contracts/RewardToken.sol";
import {TaskMarket} from "../../contracts/TaskMarket.sol";
import {VerifierCommittee} from "../../contracts/VerifierCommittee.sol";
import {VM} from "./Vm.sol";

/// @notice The learning side with the figures of the `public` profile, and one step of a round per function.
abstract contract PublicSystem {
    uint256 internal constant CLIENT_BOND_WEI = 0.1 ether;
    uint256 internal constant MINER_BOND_WEI = 0.1 ether;
    uint256 internal constant STAKE_WEI = 8 ether;
    bytes32 internal constant SALT = keccak256("salt");
    uint64 internal constant SECOND_S = 12;
    uint256 internal constant SCORED = uint256(IVerifierCommittee.VerdictKind.Scored);

    RewardReservoir internal reservoir;
    RewardToken internal token;
    TaskMarket internal market;
    VerifierCommittee internal committee;
    LearningChain internal chain;
    BlockLedger internal ledger;
    uint256 internal _nowS = 1_800_000_000;
    uint256 internal _number = 1_000;

    function setUp() public virtual {
        _pass(0);
        uint256 nonce = VM.getNonce(address(this));
        address[] memory places = new address[](6);
        for (uint256 i = 0; i < places.length; i++) {
            places[i] = VM.computeCreateAddress(address(this), nonce + i);
        }
        address[] memory operators = new address[](3);
        (operators[0], operators[1], operators[2]) = (places[2], places[3], places[4]);
        address[] memory keepers = new address[](3);
        (keepers[0], keepers[1], keepers[2]) = (places[2], places[3], places[2]);
        address[] memory minters = new address[](1);
        minters[0] = places[5];
        address[] memory chains = new address[](1);
        chains[0] = places[4];
        reservoir = new RewardReservoir(operators, keepers);
        token = new RewardToken(minters);
        market = new TaskMarket(reservoir, chains, _marketParameters());
        committee = new VerifierCommittee(reservoir, chains, _committeeParameters());
        chain = new LearningChain(
            reservoir, market, committee, IBlockLedger(places[5]), _chainParameters(), _idleTask()
        );
        ledger = new BlockLedger(
            token,
            places[4],
            IBlockLedger.LedgerParameters(32 ether, OmmerFormula.Fraction, _anchor()),
            _cid("idle")
        );
        require(address(ledger) == places[5], "addresses were not predicted");
    }

    function _anchor() internal pure virtual returns (AnchorSource) {
        return AnchorSource.BlockHash;
    }

    function _marketParameters() private pure returns (ITaskMarket.MarketParameters memory) {
        return ITaskMarket.MarketParameters(uint128(CLIENT_BOND_WEI), 0.01 ether, 100_000, 7 days, 60, 21_600);
    }

    function _committeeParameters() private pure returns (IVerifierCommittee.CommitteeParameters memory) {
        return IVerifierCommittee.CommitteeParameters(
            uint128(STAKE_WEI),
            4 ether,
            3,
            7 days,
            100_000,
            7 days,
            7_200,
            30,
            1_800,
            1_800,
            3,
            10_000,
            50_000
        );
    }

    function _chainParameters() private pure returns (ILearningChain.ChainParameters memory) {
        return ILearningChain.ChainParameters(
            3_600, 1_800, 3_600, 1_800, uint128(MINER_BOND_WEI), 0.002 ether, 25_000, 200_000
        );
    }

    function _idleTask() private pure returns (ILearningChain.IdleTask memory) {
        return ILearningChain.IdleTask(_cid("idle"), 1_800, 970_000, 4, 900);
    }

    // --- who and when ---

    function _who(string memory role, uint256 number) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode(role, number)))));
    }

    function _cid(string memory name) internal pure returns (Cid memory) {
        return Cid(Cids.RAW, keccak256(bytes(name)));
    }

    /// @dev One block of Ethereum for each twelve seconds, and at least one.
    function _pass(uint256 seconds_) internal {
        _nowS += seconds_;
        _number += 1 + seconds_ / SECOND_S;
        VM.warp(_nowS);
        VM.roll(_number);
    }

    function _passDeadline() internal {
        uint256 deadline = chain.round(chain.roundCount()).deadline;
        if (deadline > _nowS) _pass(deadline - _nowS);
    }

    function _seat(uint256 count) internal {
        for (uint256 i = 0; i < count; i++) {
            address verifier = _who("verifier", i);
            VM.deal(verifier, STAKE_WEI);
            VM.prank(verifier);
            committee.stake{value: STAKE_WEI}();
        }
    }

    // --- steps ---

    function _terms(address client, uint32 limitS, uint16 wanted)
        internal
        view
        virtual
        returns (ITaskMarket.TaskTerms memory terms)
    {
        terms.manifest = _cid("manifest");
        terms.testSetCommitment = Commitments.testSet(address(market), client, _cid("test set"), SALT);
        terms.timeLimitS = limitS;
        terms.requiredTrainPpm = 900_000;
        terms.solutionsWanted = wanted;
    }

    function _submit(address client, uint256 paymentWei, uint32 limitS, uint16 wanted)
        internal
        returns (uint64 taskId)
    {
        ITaskMarket.TaskTerms memory terms = _terms(client, limitS, wanted);
        VM.deal(client, client.balance + paymentWei + CLIENT_BOND_WEI);
        VM.prank(client);
        return market.submit{value: paymentWei + CLIENT_BOND_WEI}(terms, 0);
    }

    /// @dev Opens the most valuable task's round and mines the block that its PHS comes from.
    function _open() internal returns (uint64 roundId) {
        roundId = chain.openRound();
        _pass(2 * SECOND_S);
    }

    function _openIdle() internal returns (uint64 roundId) {
        roundId = chain.openIdleRound();
        _pass(2 * SECOND_S);
    }

    function _publish(address client) internal {
        uint64 roundId = chain.roundCount();
        bytes32 previousHash = chain.round(roundId).previousHash;
        VM.prank(client);
        chain.publishKeys(roundId, previousHash, _cid("keys"));
    }

    function _commit(address miner, string memory model, uint32 claimPpm) internal {
        _commitWith(miner, model, claimPpm, MINER_BOND_WEI + chain.judgingFeeOf(chain.roundCount()));
    }

    function _commitWith(address miner, string memory model, uint32 claimPpm, uint256 amountWei) internal {
        uint64 roundId = chain.roundCount();
        bytes32 previousHash = chain.round(roundId).previousHash;
        bytes32 hashed = Commitments.solution(address(chain), roundId, miner, previousHash, _cid(model), SALT);
        VM.deal(miner, miner.balance + amountWei);
        uint8 place = chain.placeOf(roundId, miner);
        VM.prank(miner);
        chain.commit{value: amountWei}(roundId, previousHash, hashed, claimPpm, place);
    }

    function _advance() internal {
        chain.advance(chain.roundCount());
    }

    function _release(address client) internal {
        uint64 roundId = chain.roundCount();
        _pass(SECOND_S);
        VM.prank(client);
        chain.releaseTestSet(roundId, _cid("test set"), SALT);
    }

    function _reveal(address miner, string memory model) internal {
        uint64 roundId = chain.roundCount();
        uint8 place = chain.placeOf(roundId, miner);
        VM.prank(miner);
        chain.reveal(roundId, place, _cid(model), SALT);
    }

    function _word(uint256 trainPpm, uint256 testPpm) internal pure returns (uint256) {
        return (_part(trainPpm) << 96) | _part(testPpm);
    }

    /// @dev A part that scores 0 was not tested.
    function _part(uint256 ppm) private pure returns (uint256) {
        return ppm == 0 ? 0 : (SCORED << 88) | (ppm << 64) | uint64(uint256(keccak256(abi.encode(ppm))));
    }

    function _voteHash(address verifier, uint64 ballotId, uint256[] memory vote)
        internal
        view
        returns (bytes32)
    {
        bytes32 digest = Commitments.ballot(address(committee), ballotId, vote);
        return Commitments.vote(address(committee), ballotId, verifier, digest, SALT);
    }

    function _commitVotes(uint256 count, uint256[] memory vote) internal {
        uint64 ballotId = chain.round(chain.roundCount()).ballotId;
        for (uint256 i = 0; i < count; i++) {
            address verifier = _who("verifier", i);
            bytes32 hashed = _voteHash(verifier, ballotId, vote);
            uint8 index = committee.memberOf(ballotId, verifier).index;
            VM.prank(verifier);
            committee.commitVote(ballotId, index, hashed);
        }
        committee.advance(ballotId);
    }

    function _revealVote(uint256 number, uint256[] memory vote) internal {
        uint64 ballotId = chain.round(chain.roundCount()).ballotId;
        bytes32 digest = Commitments.ballot(address(committee), ballotId, vote);
        uint8 index = committee.memberOf(ballotId, _who("verifier", number)).index;
        VM.prank(_who("verifier", number));
        committee.revealVote(ballotId, index, digest, SALT, Cid(0, 0));
    }

    function _tally(uint256[] memory vote) internal {
        uint256[][] memory lists = new uint256[][](1);
        lists[0] = vote;
        committee.tally(chain.round(chain.roundCount()).ballotId, lists);
    }

    /// @dev All of `count` seated verifiers vote alike.
    function _vote(uint256 count, uint256[] memory vote) internal {
        _commitVotes(count, vote);
        for (uint256 i = 0; i < count; i++) {
            _revealVote(i, vote);
        }
        _tally(vote);
    }
}
