// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";

/// @title VerifierStakes
/// @notice The committee's seats and money: stakes, unbonding, penalties and fees. See {IVerifierCommittee}.
abstract contract VerifierStakes is IVerifierCommittee {
    using EnumerableSet for EnumerableSet.AddressSet;
    using SafeCast for uint256;

    uint256 private constant PPM = 1_000_000;
    uint256 public constant MAX_VERIFIERS = 21;

    IRewardReservoir public immutable RESERVOIR;
    CommitteeParameters internal _parameters;
    mapping(address account => bool isAllowed) public isChain;
    mapping(address account => Verifier) internal _verifiers;
    EnumerableSet.AddressSet internal _seated;
    /// @dev What slashing brought into a ballot's account so far; the rest of the account is the chain's money.
    mapping(uint64 ballotId => uint256) private _penaltiesWei;

    modifier onlyChain() {
        if (!isChain[msg.sender]) revert NotChain(msg.sender);
        _;
    }

    /// @param reservoir must already list this contract as an operator
    /// @param chains may open ballots; fixed for ever; may be deployed later
    constructor(IRewardReservoir reservoir, address[] memory chains, CommitteeParameters memory given) {
        if (!reservoir.isOperator(address(this))) revert IRewardReservoir.NotOperator(address(this));
        for (uint256 i = 0; i < chains.length; i++) {
            if (chains[i] == address(0)) revert IRewardReservoir.ZeroAddress();
            isChain[chains[i]] = true;
        }
        if (given.minStakeWei == 0) revert InvalidParameter("minStakeWei", 0);
        if (given.voteCommitWindowS == 0) revert InvalidParameter("voteCommitWindowS", 0);
        if (given.voteRevealWindowS == 0) revert InvalidParameter("voteRevealWindowS", 0);
        if (given.voteOpeningWindowS == 0) revert InvalidParameter("voteOpeningWindowS", 0);
        if (given.absencePenaltyPpm > PPM) {
            revert InvalidParameter("absencePenaltyPpm", given.absencePenaltyPpm);
        }
        if (given.noisePenaltyPpm > PPM) revert InvalidParameter("noisePenaltyPpm", given.noisePenaltyPpm);
        RESERVOIR = reservoir;
        _parameters = given;
    }

    /// @inheritdoc IVerifierCommittee
    function stake() external payable override {
        // Check: not unbonding, and enough for a seat or to change the stake of one.
        Verifier storage staker = _verifiers[msg.sender];
        if (staker.releaseAt != 0) revert StillUnbonding(msg.sender, staker.releaseAt);
        uint256 stakeWei = staker.stakeWei + msg.value;
        uint256 neededWei = staker.isSeated ? uint256(staker.stakeWei) + 1 : _parameters.minStakeWei;
        if (stakeWei < neededWei) revert StakeTooSmall(stakeWei, neededWei);

        // Effect: seat it; the cast keeps the weight of every later ballot in range.
        if (!staker.isSeated) _takeSeat(msg.sender, stakeWei);
        staker.stakeWei = stakeWei.toUint96();
        emit Staked(msg.sender, msg.value, stakeWei);

        // Interaction: the reservoir holds it.
        RESERVOIR.deposit{value: msg.value}(IRewardReservoir.Pot.Stake, _stakeAccount(msg.sender));
    }

    /// @inheritdoc IVerifierCommittee
    function requestUnstake() external override {
        if (!_verifiers[msg.sender].isSeated) revert NotSeated(msg.sender);
        _unseat(msg.sender);
    }

    /// @inheritdoc IVerifierCommittee
    function completeUnstake() external override {
        // Check: the period is over and no open ballot can slash the stake any more.
        Verifier storage leaver = _verifiers[msg.sender];
        uint40 releaseAt = leaver.releaseAt;
        if (releaseAt == 0) revert NotUnbonding(msg.sender);
        uint16 openBallots = _openBallotsOf(msg.sender);
        if (block.timestamp < releaseAt || openBallots != 0) {
            revert UnbondingNotOver(msg.sender, releaseAt, openBallots);
        }

        // Effect: as if it had never staked.
        uint256 amountWei = leaver.stakeWei;
        delete _verifiers[msg.sender];
        emit Unstaked(msg.sender, amountWei);

        // Interaction: credit what slashing left of it.
        RESERVOIR.credit(IRewardReservoir.Pot.Stake, _stakeAccount(msg.sender), msg.sender, amountWei);
    }

    /// @inheritdoc IVerifierCommittee
    function distribute(bytes32 account) external override onlyChain {
        address[] memory payees = _seated.values();
        if (payees.length == 0) revert NoSeatedVerifier();
        uint256[] memory stakesWei = new uint256[](payees.length);
        for (uint256 i = 0; i < payees.length; i++) {
            stakesWei[i] = _verifiers[payees[i]].stakeWei;
        }
        _share(account, _escrowWei(account), payees, stakesWei);
    }

    /// @inheritdoc IVerifierCommittee
    function parameters() external view override returns (CommitteeParameters memory) {
        return _parameters;
    }

    /// @inheritdoc IVerifierCommittee
    function verifier(address account) external view override returns (Verifier memory found) {
        found = _verifiers[account];
        found.openBallots = _openBallotsOf(account);
    }

    /// @inheritdoc IVerifierCommittee
    function seated() external view override returns (address[] memory) {
        return _seated.values();
    }

    /// @inheritdoc IVerifierCommittee
    function seatedCount() external view override returns (uint256) {
        return _seated.length();
    }

    // slither-disable-next-line unused-return: the callers know which it is
    function _takeSeat(address account, uint256 stakeWei) private {
        if (_seated.length() == MAX_VERIFIERS) {
            (address smallest, uint256 smallestWei) = _smallestSeat();
            if (stakeWei <= smallestWei) revert StakeTooSmall(stakeWei, smallestWei + 1);
            _unseat(smallest);
        }
        _seated.add(account);
        _verifiers[account].isSeated = true;
    }

    // slither-disable-next-line unused-return: the callers know which it is
    function _unseat(address account) internal {
        Verifier storage leaver = _verifiers[account];
        _seated.remove(account);
        leaver.isSeated = false;
        leaver.releaseAt = uint40(block.timestamp) + _parameters.unbondingPeriodS;
        emit Unseated(account, leaver.stakeWei, leaver.releaseAt);
    }

    /// @dev Never more than is left: a member of several ballots may have been slashed before.
    // slither-disable-next-line calls-loop: at most one per seat, to our own reservoir
    function _slash(uint64 ballotId, address account, uint256 weightWei, uint256 penaltyPpm, bool wasAbsent)
        internal
    {
        Verifier storage slashed = _verifiers[account];
        uint256 penaltyWei = Math.mulDiv(weightWei, penaltyPpm, PPM, Math.Rounding.Ceil);
        uint256 amountWei = Math.min(penaltyWei, slashed.stakeWei);
        if (amountWei == 0) return;
        slashed.stakeWei -= uint128(amountWei);
        _penaltiesWei[ballotId] += amountWei;
        emit Slashed(ballotId, account, amountWei, wasAbsent);
        if (slashed.isSeated && slashed.stakeWei < _parameters.minStakeWei) _unseat(account);
        RESERVOIR.move(
            IRewardReservoir.Pot.Stake,
            _stakeAccount(account),
            address(this),
            IRewardReservoir.Pot.Escrow,
            _ballotAccount(ballotId),
            amountWei
        );
    }

    /// @dev Shares this much of an escrow account by weight; the rounding dust goes to the first payee with a weight.
    function _share(bytes32 account, uint256 totalWei, address[] memory payees, uint256[] memory weights)
        internal
    {
        if (totalWei == 0) return;
        uint256 totalWeight;
        uint256 first = payees.length;
        uint256 restWei = totalWei;
        uint256[] memory amountsWei = new uint256[](payees.length);
        // Nothing can overflow: sums of wei and of stakes fit 96 bits, and the parts never exceed the whole.
        unchecked {
            for (uint256 i = payees.length; i > 0; i--) {
                totalWeight += weights[i - 1];
                if (weights[i - 1] != 0) first = i - 1;
            }
            for (uint256 i = 0; i < payees.length; i++) {
                uint256 amountWei = totalWei * weights[i] / totalWeight;
                amountsWei[i] = amountWei;
                restWei -= amountWei;
            }
        }
        amountsWei[first] += restWei;
        RESERVOIR.creditMany(IRewardReservoir.Pot.Escrow, account, payees, amountsWei);
    }

    /// @dev Shares a ballot's penalties among all its members, so that nobody gains from a ballot that others cannot
    /// take part in: neither the client, who may have commissioned what no verifier can judge, nor its accomplice.
    function _sharePenalties(uint64 ballotId, address[] memory accounts, uint256[] memory weights) internal {
        _share(_ballotAccount(ballotId), _penaltiesWei[ballotId], accounts, weights);
    }

    /// @dev The chain gets back what it paid in, to do with it what it would have done without the ballot.
    function _refund(uint64 ballotId, address chain, bytes32 refundAccount) internal {
        bytes32 account = _ballotAccount(ballotId);
        IRewardReservoir.Pot pot = IRewardReservoir.Pot.Escrow;
        uint256 amountWei = _escrowWei(account);
        if (amountWei != 0) RESERVOIR.move(pot, account, chain, pot, refundAccount, amountWei);
    }

    /// @dev Counted when asked: to write it down for each member would cost every ballot 21 words, twice.
    function _openBallotsOf(address account) internal view virtual returns (uint16 count);

    function _smallestSeat() private view returns (address smallest, uint256 smallestWei) {
        smallestWei = type(uint256).max;
        for (uint256 i = 0; i < _seated.length(); i++) {
            address account = _seated.at(i);
            if (_verifiers[account].stakeWei < smallestWei) {
                (smallest, smallestWei) = (account, _verifiers[account].stakeWei);
            }
        }
    }

    function _escrowWei(bytes32 account) internal view returns (uint256 amountWei) {
        return RESERVOIR.balanceOf(address(this), IRewardReservoir.Pot.Escrow, account);
    }

    function _stakeAccount(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function _ballotAccount(uint64 ballotId) internal pure returns (bytes32) {
        return bytes32(uint256(ballotId));
    }
}
