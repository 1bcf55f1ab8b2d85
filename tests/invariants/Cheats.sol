// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IGradientChain} from "../../contracts/interfaces/IGradientChain.sol";
import {ILearningChain} from "../../contracts/interfaces/ILearningChain.sol";
import {ITaskMarket} from "../../contracts/interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "../../contracts/interfaces/IVerifierCommittee.sol";
import {Cid, Cids} from "../../contracts/libraries/Cids.sol";
import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {Intruder} from "./Intruder.sol";
import {VM} from "./Vm.sol";

/// @notice What the audit found that pays, or harms others for nothing (D1 to D14, R1): each is tried on purpose, in the
/// state of the moment, and must not come out as it did. Wrong votes and hidden lists are in `Voters` and `Intruder`.
abstract contract Cheats is Intruder {
    uint256 private constant WAYS = 10;
    uint256 private constant SEATS = 21;
    uint32 private constant KEYS_WINDOW_S = 120;
    uint32 private constant LEAST_LIMIT_S = 60;
    uint32 private constant WINDOWS_S = 840;

    /// @notice How often each was carried out.
    mapping(uint256 way => uint256 count) public cheats;

    function _cheat(uint256 seed) internal {
        // A lane is seldom free, so the first is tried more often.
        uint256 way = seed % 16 < WAYS ? seed % 16 : 0;
        bool wasDone;
        if (way == 0) wasDone = _holdLane();
        else if (way == 1) wasDone = _varyLastCall(seed >> 8);
        else if (way == 2) wasDone = _commitUnderOldHash(seed >> 8);
        else if (way == 3) wasDone = _fillRound(seed >> 8);
        else if (way == 4) wasDone = _evict();
        else if (way == 5) wasDone = _leaveBallot(seed >> 8);
        else if (way == 6) wasDone = _claimFalsely(seed >> 8);
        else if (way == 7) wasDone = _fillHeight();
        else if (way == 8) wasDone = _accuse(seed >> 8);
        else wasDone = _proposeAfterReorg(seed >> 8);
        if (wasDone) cheats[way]++;
    }

    /// @dev D1, D9: outbids everybody for the least time and publishes nothing; somebody with a fortune sits down just
    /// before the money is shared.
    function _holdLane() private returns (bool) {
        address holder = _outsider(0);
        address late = _outsider(1);
        bool isTurn = !isRoundOpen() && market.nextLane() == address(chain);
        if (!isTurn || committee.seated().length == SEATS) return false;
        uint256 waiting = market.pendingCount() == 0 ? 0 : market.valueOf(market.mostValuable());
        uint256 paymentWei = 2 * MIN_REWARD_WEI + ((waiting + 1) * (LEAST_LIMIT_S + WINDOWS_S) >> 32) * 2;
        uint256 ownedWei = owedWei[holder];
        uint64 taskId = _bid(holder, paymentWei);
        uint256 rewardWei = market.task(taskId).rewardWei;
        if (chain.round(chain.openRound()).taskId != taskId) return false;
        bool isAnybodySeated = committee.seated().length != 0;
        _pass(KEYS_WINDOW_S);
        uint256 lateWei = reservoir.creditOf(late);
        VM.deal(late, 1 ether);
        VM.prank(late);
        committee.stake{value: 1 ether}();
        chain.advance(chain.roundCount());
        if (reservoir.creditOf(late) != lateWei) {
            _violate("D9: a stake just before money is shared had part of it");
        }
        VM.prank(late);
        committee.requestUnstake();

        uint256 costWei = isAnybodySeated
            ? CLIENT_BOND_WEI + rewardWei * chain.parameters().occupancyPpm * KEYS_WINDOW_S
                / (1_000_000 * uint256(LEAST_LIMIT_S + WINDOWS_S))
            : 0;
        uint256 backWei = reservoir.creditOf(holder) - ownedWei;
        if (backWei + costWei != paymentWei + CLIENT_BOND_WEI) {
            _violate("D1: holding a lane costs something else than its time and the bond");
        }
        return true;
    }

    function _bid(address holder, uint256 paymentWei) private returns (uint64) {
        ITaskMarket.TaskTerms memory terms = ITaskMarket.TaskTerms({
            manifest: Cid(Cids.RAW, keccak256("nothing")),
            testSetCommitment: keccak256("nothing"),
            timeLimitS: LEAST_LIMIT_S,
            requiredTrainPpm: REQUIRED_PPM,
            minTestPpm: 0,
            solutionsWanted: 1,
            earliestCloseS: 0
        });
        VM.deal(holder, CLIENT_BOND_WEI + paymentWei);
        VM.prank(holder);
        return market.submit{value: CLIENT_BOND_WEI + paymentWei}(terms, 0);
    }

    /// @dev D2: the last call again, by another, later, and with calldata that nobody reads.
    function _varyLastCall(uint256 seed) private returns (bool) {
        uint64 roundId = chain.roundCount();
        if (chain.round(roundId).phase != ILearningChain.Phase.Voting || !chain.isDue(roundId)) return false;
        uint256 snapshot = VM.snapshotState();
        chain.advance(roundId);
        bytes32 plain = ledger.headerHash(ledger.height());
        require(VM.revertToStateAndDelete(snapshot), "no snapshot");
        // Forgets what has been undone.
        VM.recordLogs();

        _pass(seed % 1_000);
        bytes memory data = abi.encodePacked(abi.encodeCall(ILearningChain.advance, (roundId)), seed);
        VM.prank(_miner(seed));
        (bool wasDone,) = address(chain).call(data);
        if (!wasDone || ledger.headerHash(ledger.height()) != plain) {
            _violate("D2: the last caller has varied a header");
        }
        return true;
    }

    /// @dev D10, D11: a commit that names an earlier round's hash; no hash returns once models were revealed under it.
    function _commitUnderOldHash(uint256 seed) private returns (bool) {
        uint64 roundId = chain.roundCount();
        if (!_isTaking(roundId) || roundId == 1) return false;
        bytes32 previousHash = _previousHash(roundId);
        ILearningChain.Round memory earlier = chain.round(roundId - 1);
        if (earlier.previousHash == previousHash) {
            if (earlier.revealedCount != 0) _violate("D10: models were revealed under this round's hash");
            return false;
        }
        uint256 amountWei = MINER_BOND_WEI + chain.judgingFeeOf(roundId);
        VM.deal(_outsider(2), amountWei);
        VM.prank(_outsider(2));
        try chain.commit{value: amountWei}(roundId, earlier.previousHash, bytes32(seed | 1), 1_000_000, 0) {
            _violate("D11: a commit under another previous hash was accepted");
        } catch {
            refusedAttempts++;
        }
        return true;
    }

    /// @dev D6: takes all places that are left. A little more bond gets one of them for somebody else, an equal one does not.
    function _fillRound(uint256 seed) private returns (bool) {
        uint64 roundId = chain.roundCount();
        if (!_isTaking(roundId) || seed % 2 != 0) return false;
        uint256 neededWei = MINER_BOND_WEI + chain.judgingFeeOf(roundId);
        uint256 count = chain.round(roundId).submissionCount;
        if (count == PLACES) return false;
        for (; count < PLACES; count++) {
            _takePlace(roundId, _sybil(count), neededWei);
        }
        address last = _sybil(PLACES - 1);
        uint256 creditWei = reservoir.creditOf(last);
        if (_canTakePlace(roundId, _outsider(2), neededWei)) {
            _violate("D6: an equal bond took a place in a full round");
        }
        _takePlace(roundId, _outsider(2), neededWei + 1 gwei);
        if (reservoir.creditOf(last) != creditWei + neededWei || chain.placeOf(roundId, last) != 0) {
            _violate("D6: the lowest bond did not give way, or not all came back");
        }
        if (chain.round(roundId).submissionCount != PLACES) _violate("D6: more than all places are taken");
        return true;
    }

    function _takePlace(uint64 roundId, address miner, uint256 amountWei) private {
        bytes32 previousHash = _previousHash(roundId);
        bytes32 commitment = _solutionOf(roundId, miner, _modelOf(roundId, miner));
        VM.deal(miner, amountWei);
        VM.prank(miner);
        chain.commit{value: amountWei}(roundId, previousHash, commitment, REQUIRED_PPM, 0);
    }

    function _canTakePlace(uint64 roundId, address miner, uint256 amountWei) private returns (bool) {
        bytes32 previousHash = _previousHash(roundId);
        bytes32 commitment = _solutionOf(roundId, miner, _modelOf(roundId, miner));
        VM.deal(miner, amountWei);
        VM.prank(miner);
        try chain.commit{value: amountWei}(roundId, previousHash, commitment, REQUIRED_PPM, 0) {
            return true;
        } catch {
            return false;
        }
    }

    /// @dev D8: takes all seats that are left, then the smallest one's of all, and leaves. The evicted has the price for it,
    /// and sits down again with what it had.
    function _evict() private returns (bool) {
        uint256 seats = committee.seated().length;
        for (uint256 i = 0; seats < SEATS; i++) {
            if (committee.verifier(_outsider(i)).isSeated) continue;
            _sitDown(_outsider(i), MIN_STAKE_WEI);
            seats++;
        }
        (address smallest, uint256 smallestWei) = _smallest();
        uint256 creditWei = reservoir.creditOf(smallest);
        address evictor = _outsider(SEATS);
        uint256 priceWei = (smallestWei + 9) / 10;
        uint256 neededWei = smallestWei + 1 + priceWei;
        uint256 ownWei = committee.verifier(evictor).stakeWei;
        if (neededWei < MIN_STAKE_WEI + priceWei) neededWei = MIN_STAKE_WEI + priceWei;
        if (neededWei > ownWei + 1) {
            _mustFail(evictor, address(committee), abi.encodeCall(IVerifierCommittee.stake, ()));
            _sitDown(evictor, neededWei - ownWei);
        } else {
            _sitDown(evictor, 0);
        }
        bool isPaid = reservoir.creditOf(smallest) == creditWei + priceWei;
        if (!isPaid || committee.verifier(smallest).isSeated) {
            _violate("D8: the smallest stake was not displaced for a tenth of it");
        }
        for (uint256 i = 0; i <= SEATS; i++) {
            if (!committee.verifier(_outsider(i)).isSeated) continue;
            VM.prank(_outsider(i));
            committee.requestUnstake();
        }
        if (smallestWei >= MIN_STAKE_WEI) _sitDown(smallest, 0);
        _leaveIfOutsider(smallest);
        return true;
    }

    function _sitDown(address account, uint256 amountWei) private {
        VM.deal(account, amountWei);
        VM.prank(account);
        committee.stake{value: amountWei}();
    }

    function _leaveIfOutsider(address account) private {
        for (uint256 i = 0; i <= SEATS; i++) {
            if (account != _outsider(i) || !committee.verifier(account).isSeated) continue;
            VM.prank(account);
            committee.requestUnstake();
        }
    }

    /// @dev In the order of the seats, the first of the smallest.
    function _smallest() private view returns (address smallest, uint256 smallestWei) {
        address[] memory all = committee.seated();
        smallestWei = type(uint256).max;
        for (uint256 i = 0; i < all.length; i++) {
            uint256 stakeWei = committee.verifier(all[i]).stakeWei;
            if (stakeWei < smallestWei) (smallest, smallestWei) = (all[i], stakeWei);
        }
    }

    /// @dev D5: a member of an open ballot gives up its seat, waits for its stake, and is bound all the same.
    function _leaveBallot(uint256 seed) private returns (bool) {
        uint64 ballotId = chain.round(chain.roundCount()).ballotId;
        IVerifierCommittee.BallotPhase phase = committee.ballot(ballotId).phase;
        bool isOpen = phase == IVerifierCommittee.BallotPhase.Commit
            || phase == IVerifierCommittee.BallotPhase.Reveal
            || phase == IVerifierCommittee.BallotPhase.Opening;
        if (!isOpen) return false;
        address[] memory members = committee.members(ballotId);
        address member = members[seed % members.length];
        if (committee.verifier(member).isSeated) {
            VM.prank(member);
            committee.requestUnstake();
        }
        uint256 releaseAt = committee.verifier(member).releaseAt;
        if (releaseAt > _nowS) _pass(releaseAt - _nowS);
        if (committee.verifier(member).openBallots == 0) {
            _violate("D5: a member of an open ballot is not bound");
        }
        _mustFail(member, address(committee), abi.encodeCall(IVerifierCommittee.completeUnstake, ()));
        return true;
    }

    /// @dev D13: claims everything, with a model that is as good as any other. `World` watches who wins.
    function _claimFalsely(uint256 seed) private returns (bool) {
        uint64 roundId = chain.roundCount();
        address miner = _outsider(3 + seed % 3);
        bool hasRoom = _isTaking(roundId) && chain.round(roundId).submissionCount < PLACES;
        if (!hasRoom || chain.placeOf(roundId, miner) != 0) return false;
        bytes32 previousHash = _previousHash(roundId);
        bytes32 commitment = Commitments.solution(
            address(chain), roundId, miner, previousHash, _modelOf(roundId, miner), _saltOf(roundId, miner)
        );
        uint256 amountWei = MINER_BOND_WEI + chain.judgingFeeOf(roundId);
        VM.deal(miner, amountWei);
        VM.prank(miner);
        chain.commit{value: amountWei}(roundId, previousHash, commitment, 1_000_000, 0);
        return true;
    }

    /// @dev R1: as many proposals as a height takes. A higher bond takes the place of the lowest, an equal one does not.
    function _fillHeight() private returns (bool) {
        for (uint256 i = 0; i <= PROPOSALS; i++) {
            _enrolWith(_outsider(i), GRADIENT_BOND_WEI + (i == PROPOSALS ? 3 : 0));
        }
        IGradientChain.Height memory current = gradient.current();
        if (gradient.threshold() == 0 || current.proposalCount == PROPOSALS) return false;
        address highest = _outsider(PROPOSALS);
        if (!_canPropose(highest, current.height)) return false;
        uint256 count = current.proposalCount;
        for (uint256 i = 0; i < PROPOSALS && count < PROPOSALS; i++) {
            if (!_canPropose(_outsider(i), current.height)) continue;
            _proposeAs(_outsider(i), current.height);
            count++;
        }
        if (count < PROPOSALS || !_hasLower(highest)) return false;
        address first = gradient.proposals()[0].miner;
        _proposeAs(highest, current.height);
        IGradientChain.Proposal[] memory all = gradient.proposals();
        bool isIn = all.length == PROPOSALS && all[PROPOSALS - 1].miner == highest;
        if (!isIn || all[0].miner != first) {
            _violate("R1: the highest bond did not take the place of a lower one behind the first");
        }
        return true;
    }

    function _hasLower(address miner) private view returns (bool) {
        IGradientChain.Proposal[] memory all = gradient.proposals();
        for (uint256 i = 1; i < all.length; i++) {
            if (gradient.minerOf(all[i].miner).bondWei < gradient.minerOf(miner).bondWei) return true;
        }
        return false;
    }

    function _enrolWith(address miner, uint256 bondWei) private {
        if (gradient.minerOf(miner).bondWei != 0) return;
        VM.deal(miner, bondWei);
        VM.prank(miner);
        gradient.enrol{value: bondWei}();
    }

    function _proposeAs(address miner, uint64 height) private {
        IGradientChain.GradientTerms memory terms = gradient.task(gradient.current().taskId).terms;
        Cid memory weights = Cid(Cids.RAW, keccak256(abi.encode("junk", height, miner)));
        bytes32 previous = gradient.headerHash(height - 1);
        VM.prank(miner);
        gradient.propose(height, previous, terms.minStep, 0, weights, weights);
    }

    /// @dev D14: says of a proposal that a segment is wrong, true or not, and says it again.
    function _accuse(uint256 seed) private returns (bool) {
        IGradientChain.Height memory current = gradient.current();
        if (current.phase != IGradientChain.HeightPhase.Voting) return false;
        address[] memory members = committee.members(current.ballotId);
        address member = members[seed % members.length];
        uint16 entry = uint16((seed >> 8) % current.proposalCount);
        uint256 segments = (seed >> 24) % 4 == 0 ? 0 : 1 << ((seed >> 32) % 8);
        bytes memory data = abi.encodeCall(
            IGradientChain.reportSegments,
            (current.ballotId, committee.memberOf(current.ballotId, member).index, entry, segments)
        );
        if (!hasReported[current.ballotId][member][entry]) {
            hasReported[current.ballotId][member][entry] = true;
            _noteAccuser(current.ballotId, entry, segments == 0 ? address(0) : member);
            VM.prank(_handOf(member));
            (bool wasDone,) = address(gradient).call(data);
            if (!wasDone) _violate("D14: a member's first report was refused");
        }
        _mustFail(_handOf(member), address(gradient), data);
        return true;
    }

    /// @dev D11: an honest proposal on top of a block that is no more costs gas, and no bond.
    function _proposeAfterReorg(uint256 seed) private returns (bool) {
        IGradientChain.Height memory current = gradient.current();
        address miner = _miner(seed);
        if (gradient.threshold() == 0 || !_canPropose(miner, current.height)) return false;
        IGradientChain.GradientTerms memory terms = gradient.task(current.taskId).terms;
        Cid memory weights = Cid(Cids.RAW, keccak256("before a reorg"));
        bytes memory data = abi.encodeCall(
            IGradientChain.propose,
            (current.height, keccak256(abi.encode(seed)), terms.minStep, 0, weights, weights)
        );
        _mustFail(miner, address(gradient), data);
        return true;
    }

    function _sybil(uint256 number) private pure returns (address) {
        return _account("sybil", number);
    }
}
