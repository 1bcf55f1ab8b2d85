// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";

/// @title VerifierStakes
/// @notice The committee's seats and money: stakes, unbonding, displacement, penalties and fees. See
/// {IVerifierCommittee}.
/// @dev All stakes lie in one account of the reservoir. What each is, and who sits where, is kept as checkpoints by
/// block time, so that money can follow what was true when a round opened, and nothing is written when one does.
abstract contract VerifierStakes is IVerifierCommittee {
    using Checkpoints for Checkpoints.Trace160;
    using SafeCast for uint256;

    /// @param seatPlusOne 0: not seated
    struct Account {
        uint40 releaseAt;
        uint8 seatPlusOne;
        address voter;
    }

    /// @dev Which seats are taken, and for how long too few were.
    /// @param taken bit i: seat i is
    /// @param shortSince since when too few are; without meaning while enough are
    /// @param shortS seconds before that
    struct Occupancy {
        uint32 taken;
        uint8 count;
        uint40 shortSince;
        uint40 shortS;
    }

    uint256 private constant PPM = 1_000_000;
    uint256 private constant MAX_VERIFIERS = 21;
    bytes32 private constant STAKES = 0;

    /// @custom:security non-reentrant
    IRewardReservoir public immutable RESERVOIR;
    CommitteeParameters internal _parameters;
    mapping(address account => bool isAllowed) public isChain;
    mapping(address account => Account) private _accounts;
    mapping(address account => Checkpoints.Trace160 stakeWei) private _stakes;
    Checkpoints.Trace160[MAX_VERIFIERS] private _seats;
    Occupancy private _occupancy;

    modifier onlyChain() {
        if (!isChain[msg.sender]) revert NotChain(msg.sender);
        _;
    }

    /// @param reservoir must already list this contract as an operator
    /// @param chains may open ballots; fixed for ever; may be deployed later
    // slither-disable-next-line cyclomatic-complexity: one line for each parameter
    constructor(IRewardReservoir reservoir, address[] memory chains, CommitteeParameters memory given) {
        if (reservoir.keeperOf(address(this)) == address(0)) {
            revert IRewardReservoir.NotOperator(address(this));
        }
        for (uint256 i = 0; i < chains.length; i++) {
            if (chains[i] == address(0)) revert IRewardReservoir.ZeroAddress();
            isChain[chains[i]] = true;
        }
        if (given.minStakeWei == 0) revert InvalidParameter("minStakeWei", 0);
        if (given.floorStakeWei == 0 || given.floorStakeWei > given.minStakeWei) {
            revert InvalidParameter("floorStakeWei", given.floorStakeWei);
        }
        if (given.minSeated == 0 || given.minSeated > MAX_VERIFIERS) {
            revert InvalidParameter("minSeated", given.minSeated);
        }
        if (given.voteCommitWindowS == 0) revert InvalidParameter("voteCommitWindowS", 0);
        if (given.voteEntryS > 1 days) revert InvalidParameter("voteEntryS", given.voteEntryS);
        if (given.voteRevealWindowS == 0) revert InvalidParameter("voteRevealWindowS", 0);
        if (given.voteOpeningWindowS == 0) revert InvalidParameter("voteOpeningWindowS", 0);
        if (given.absencePenaltyPpm > PPM) {
            revert InvalidParameter("absencePenaltyPpm", given.absencePenaltyPpm);
        }
        if (given.noisePenaltyPpm > PPM) revert InvalidParameter("noisePenaltyPpm", given.noisePenaltyPpm);
        if (given.displacementPpm == 0 || given.displacementPpm > PPM) {
            revert InvalidParameter("displacementPpm", given.displacementPpm);
        }
        RESERVOIR = reservoir;
        _parameters = given;
        _occupancy.shortSince = uint40(block.timestamp);
    }

    /// @inheritdoc IVerifierCommittee
    function stake() external payable override {
        // Check: more than there was, if seated; else enough for a seat, and for displacing its holder if all are taken.
        Account storage staker = _accounts[msg.sender];
        uint256 stakeWei = _stakeOf(msg.sender) + msg.value;
        bool isSeated = staker.seatPlusOne != 0;
        (address displaced, uint256 priceWei, uint256 neededWei) = _entry();
        if (isSeated) (displaced, priceWei, neededWei) = (address(0), 0, stakeWei - msg.value + 1);
        if (stakeWei < neededWei) revert StakeTooSmall(stakeWei, neededWei);

        // Effect: seat it; the cast keeps the weight of every later ballot in range.
        stakeWei -= priceWei;
        _setStake(msg.sender, stakeWei.toUint96());
        emit Staked(msg.sender, msg.value, stakeWei);
        if (displaced != address(0)) {
            _unseat(displaced, Exit.Displaced);
            emit Displaced(displaced, msg.sender, priceWei);
        }
        if (!isSeated) _takeSeat(staker);

        // Interaction: the reservoir holds it, and owes the displaced the price.
        RESERVOIR.deposit{value: msg.value}(IRewardReservoir.Pot.Stake, STAKES);
        if (priceWei != 0) RESERVOIR.credit(IRewardReservoir.Pot.Stake, STAKES, displaced, priceWei);
    }

    /// @inheritdoc IVerifierCommittee
    function setVoter(address voter) external override {
        _accounts[msg.sender].voter = voter;
        emit VoterChanged(msg.sender, voter);
    }

    /// @inheritdoc IVerifierCommittee
    function requestUnstake() external override {
        if (_accounts[msg.sender].seatPlusOne == 0) revert NotSeated(msg.sender);
        _unseat(msg.sender, Exit.Requested);
    }

    /// @inheritdoc IVerifierCommittee
    function completeUnstake() external override {
        // Check: the period is over and no open ballot can slash the stake any more.
        uint40 releaseAt = _accounts[msg.sender].releaseAt;
        if (releaseAt == 0) revert NotUnbonding(msg.sender);
        uint16 openBallots = _openBallotsOf(msg.sender);
        if (block.timestamp < releaseAt || openBallots != 0) {
            revert UnbondingNotOver(msg.sender, releaseAt, openBallots);
        }

        // Effect: as if it had never staked.
        uint256 amountWei = _stakeOf(msg.sender);
        delete _accounts[msg.sender];
        _setStake(msg.sender, 0);
        emit Unstaked(msg.sender, amountWei);

        // Interaction: credit what slashing left of it.
        RESERVOIR.credit(IRewardReservoir.Pot.Stake, STAKES, msg.sender, amountWei);
    }

    /// @inheritdoc IVerifierCommittee
    function distribute(bytes32 account, uint40 atTime, address otherwise) external override onlyChain {
        (address[] memory payees, uint256[] memory stakesWei) = _seatedAt(atTime);
        if (payees.length == 0) {
            (payees, stakesWei) = (new address[](1), new uint256[](1));
            (payees[0], stakesWei[0]) = (otherwise, 1);
        }
        _share(account, _escrowWei(account), payees, stakesWei);
    }

    /// @inheritdoc IVerifierCommittee
    function parameters() external view override returns (CommitteeParameters memory) {
        return _parameters;
    }

    /// @inheritdoc IVerifierCommittee
    function verifier(address account) external view override returns (Verifier memory) {
        Account storage found = _accounts[account];
        return Verifier({
            stakeWei: uint128(_stakeOf(account)),
            releaseAt: found.releaseAt,
            openBallots: _openBallotsOf(account),
            isSeated: found.seatPlusOne != 0,
            voter: found.voter
        });
    }

    /// @inheritdoc IVerifierCommittee
    function seated() external view override returns (address[] memory accounts) {
        (accounts,) = _seatedAt(uint40(block.timestamp));
    }

    /// @inheritdoc IVerifierCommittee
    function seatedCount() external view override returns (uint256) {
        return _occupancy.count;
    }

    /// @inheritdoc IVerifierCommittee
    function seating(uint40 deadline) external view override returns (Seating) {
        if (_isEnough(_occupancy.count)) return Seating.Enough;
        bool isLapsed = block.timestamp >= uint256(deadline) + _parameters.seatWaitS;
        return isLapsed ? Seating.Lapsed : Seating.Waiting;
    }

    /// @inheritdoc IVerifierCommittee
    function stoodStillS() external view override returns (uint40) {
        Occupancy memory occupancy = _occupancy;
        if (_isEnough(occupancy.count)) return occupancy.shortS;
        return occupancy.shortS + uint40(block.timestamp) - occupancy.shortSince;
    }

    function _takeSeat(Account storage staker) private {
        uint256 seat = 0;
        while ((_occupancy.taken >> seat) & 1 == 1) seat++;
        staker.seatPlusOne = uint8(seat + 1);
        staker.releaseAt = 0;
        _setSeat(seat, msg.sender);
    }

    function _unseat(address account, Exit reason) private {
        Account storage leaver = _accounts[account];
        uint256 seat = leaver.seatPlusOne - 1;
        leaver.seatPlusOne = 0;
        leaver.releaseAt = uint40(block.timestamp) + _parameters.unbondingPeriodS;
        _setSeat(seat, address(0));
        emit Unseated(account, _stakeOf(account), leaver.releaseAt, reason);
    }

    /// @dev Whoever is slashed below the floor loses its seat. Never more than is left: a member of several ballots may
    /// have been slashed before.
    /// @return amountWei what has to be moved from the stakes
    function _slash(uint64 ballotId, address account, uint256 weightWei, Fault fault)
        internal
        returns (uint256 amountWei)
    {
        uint256 stakeWei = _stakeOf(account);
        amountWei = Math.min(_partOf(weightWei, _penaltyPpm(fault)), stakeWei);
        if (amountWei == 0) return 0;
        stakeWei -= amountWei;
        _setStake(account, stakeWei);
        emit Slashed(ballotId, account, amountWei, fault);
        if (stakeWei < _parameters.floorStakeWei && _accounts[account].seatPlusOne != 0) {
            _unseat(account, Exit.Ejected);
        }
    }

    /// @dev Gives a penalty back; the money has to follow.
    function _restore(uint64 ballotId, address account, uint256 amountWei) internal {
        _setStake(account, _stakeOf(account) + amountWei);
        emit PenaltyReturned(ballotId, account, amountWei);
    }

    /// @dev Moves penalties into a ballot's account.
    function _collect(uint64 ballotId, uint256 amountWei) internal {
        _move(
            IRewardReservoir.Pot.Stake,
            STAKES,
            IRewardReservoir.Pot.Escrow,
            _ballotAccount(ballotId),
            amountWei
        );
    }

    /// @dev Moves penalties back.
    function _uncollect(uint64 ballotId, uint256 amountWei) internal {
        _move(
            IRewardReservoir.Pot.Escrow,
            _ballotAccount(ballotId),
            IRewardReservoir.Pot.Stake,
            STAKES,
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

    /// @dev The chain gets back what it paid in, to do with it what it would have done without the ballot.
    function _refund(uint64 ballotId, address chain, bytes32 refundAccount) internal {
        bytes32 account = _ballotAccount(ballotId);
        IRewardReservoir.Pot pot = IRewardReservoir.Pot.Escrow;
        uint256 amountWei = _escrowWei(account);
        if (amountWei != 0) RESERVOIR.move(pot, account, chain, pot, refundAccount, amountWei);
    }

    /// @dev Who was seated at the end of that second, in the order of the seats, and with which stakes.
    // slither-disable-next-line assembly: it only shortens the two arrays
    function _seatedAt(uint40 atTime)
        internal
        view
        returns (address[] memory accounts, uint256[] memory stakesWei)
    {
        accounts = new address[](MAX_VERIFIERS);
        stakesWei = new uint256[](MAX_VERIFIERS);
        uint256 count;
        for (uint256 i = 0; i < MAX_VERIFIERS; i++) {
            address account = address(_seats[i].upperLookup(atTime));
            if (account == address(0)) continue;
            accounts[count] = account;
            stakesWei[count++] = _stakes[account].upperLookup(atTime);
        }
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(accounts, count)
            mstore(stakesWei, count)
        }
    }

    function _voterOf(address account) internal view returns (address) {
        return _accounts[account].voter;
    }

    /// @dev Counted when asked: to write it down for each member would cost every ballot 21 words, twice.
    function _openBallotsOf(address account) internal view virtual returns (uint16 count);

    function _escrowWei(bytes32 account) internal view returns (uint256 amountWei) {
        return RESERVOIR.balanceOf(address(this), IRewardReservoir.Pot.Escrow, account);
    }

    function _ballotAccount(uint64 ballotId) internal pure returns (bytes32) {
        return bytes32(uint256(ballotId));
    }

    // slither-disable-next-line unused-return: the stake before is not asked for
    function _setStake(address account, uint256 stakeWei) private {
        _stakes[account].push(uint96(block.timestamp), uint160(stakeWei));
    }

    /// @dev Keeps count of how long too few are seated.
    // slither-disable-next-line unused-return: who sat there before is not asked for
    function _setSeat(uint256 seat, address account) private {
        _seats[seat].push(uint96(block.timestamp), uint160(account));
        Occupancy memory changed = _occupancy;
        bool wasEnough = _isEnough(changed.count);
        changed.taken ^= uint32(1 << seat);
        changed.count = account == address(0) ? changed.count - 1 : changed.count + 1;
        if (wasEnough != _isEnough(changed.count)) {
            if (!wasEnough) changed.shortS += uint40(block.timestamp) - changed.shortSince;
            changed.shortSince = uint40(block.timestamp);
        }
        _occupancy = changed;
    }

    function _move(
        IRewardReservoir.Pot pot,
        bytes32 account,
        IRewardReservoir.Pot toPot,
        bytes32 toAccount,
        uint256 amountWei
    ) private {
        if (amountWei != 0) {
            RESERVOIR.move(pot, account, address(this), toPot, toAccount, amountWei);
        }
    }

    /// @dev What a newcomer needs: a stake, and beside it the price of displacing the smallest, who gets it.
    /// @param neededWei stake and price together
    function _entry() private view returns (address displaced, uint256 priceWei, uint256 neededWei) {
        neededWei = _parameters.minStakeWei;
        if (_occupancy.count != MAX_VERIFIERS) return (address(0), 0, neededWei);
        uint256 smallestWei = type(uint256).max;
        for (uint256 i = 0; i < MAX_VERIFIERS; i++) {
            address account = address(_seats[i].latest());
            uint256 stakeWei = _stakeOf(account);
            if (stakeWei < smallestWei) (displaced, smallestWei) = (account, stakeWei);
        }
        priceWei = _partOf(smallestWei, _parameters.displacementPpm);
        neededWei = Math.max(neededWei, smallestWei + 1) + priceWei;
    }

    /// @dev Silence after a commit may hide a guess: it costs no less than the guess would.
    function _penaltyPpm(Fault fault) private view returns (uint256) {
        uint256 absencePpm = _parameters.absencePenaltyPpm;
        if (fault == Fault.NoCommit || fault == Fault.Lacking) return absencePpm;
        uint256 noisePpm = _parameters.noisePenaltyPpm;
        return fault == Fault.Noise ? noisePpm : Math.max(absencePpm, noisePpm);
    }

    /// @dev Rounded up; a stake has 96 bits.
    function _partOf(uint256 stakeWei, uint256 ppm) private pure returns (uint256) {
        return (stakeWei * ppm + PPM - 1) / PPM;
    }

    function _isEnough(uint8 count) private view returns (bool) {
        return count >= _parameters.minSeated;
    }

    function _stakeOf(address account) private view returns (uint256) {
        return _stakes[account].latest();
    }
}
