// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IGradientChain} from "./interfaces/IGradientChain.sol";
import {ILearningChain} from "./interfaces/ILearningChain.sol";
import {ILens} from "./interfaces/ILens.sol";
import {IRewardReservoir} from "./interfaces/IRewardReservoir.sol";
import {ITaskMarket} from "./interfaces/ITaskMarket.sol";
import {IVerifierCommittee} from "./interfaces/IVerifierCommittee.sol";

/// @title Lens
/// @notice See the documentation in {ILens}.
contract Lens is ILens {
    ITaskMarket public immutable MARKET;
    IVerifierCommittee public immutable COMMITTEE;
    IGradientChain public immutable GRADIENT;
    IRewardReservoir public immutable RESERVOIR;
    IERC20 public immutable TOKEN;

    constructor(
        ITaskMarket market,
        IVerifierCommittee committee,
        IGradientChain gradient,
        IRewardReservoir reservoir,
        IERC20 token
    ) {
        MARKET = market;
        COMMITTEE = committee;
        GRADIENT = gradient;
        RESERVOIR = reservoir;
        TOKEN = token;
    }

    /// @inheritdoc ILens
    function read(Call[] calldata calls)
        external
        view
        override
        returns (uint256 number, uint256 timestamp, Result[] memory results)
    {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            // slither-disable-next-line calls-loop,low-level-calls: that is what it is for, and it changes nothing
            (results[i].isSuccess, results[i].data) = calls[i].target.staticcall(calls[i].data);
        }
        return (block.number, block.timestamp, results);
    }

    // Views that nobody pays for: each asks for many things, and so calls in loops.
    // slither-disable-start calls-loop

    /// @inheritdoc ILens
    function pendingTasks(uint64 from, uint256 count)
        external
        view
        override
        returns (ListedTask[] memory found)
    {
        (uint64[] memory taskIds, uint256[] memory values) = MARKET.pending(from, count);
        found = new ListedTask[](taskIds.length);
        for (uint256 i = 0; i < found.length; i++) {
            found[i] = ListedTask(taskIds[i], values[i], MARKET.task(taskIds[i]));
        }
    }

    /// @inheritdoc ILens
    function rounds(ILearningChain chain, uint64[] calldata roundIds)
        external
        view
        override
        returns (WholeRound[] memory found)
    {
        found = new WholeRound[](roundIds.length);
        for (uint256 i = 0; i < roundIds.length; i++) {
            WholeRound memory whole = found[i];
            whole.round = chain.round(roundIds[i]);
            whole.isDue = chain.isDue(roundIds[i]);
            whole.submissions = chain.submissions(roundIds[i]);
            uint64 ballotId = whole.round.ballotId;
            if (ballotId == 0) continue;
            whole.ballot = COMMITTEE.ballot(ballotId);
            whole.isBallotDue = COMMITTEE.isDue(ballotId);
            whole.outcome = COMMITTEE.outcome(ballotId);
            uint64 firstId = whole.round.firstBallotId;
            if (firstId != 0) whole.firstOutcome = COMMITTEE.outcome(firstId);
        }
    }

    /// @inheritdoc ILens
    function seats() external view override returns (Seat[] memory found) {
        address[] memory seated = COMMITTEE.seated();
        found = new Seat[](seated.length);
        for (uint256 i = 0; i < seated.length; i++) {
            found[i] = Seat(seated[i], COMMITTEE.verifier(seated[i]));
        }
    }

    /// @inheritdoc ILens
    function votes(uint64 ballotId) external view override returns (Vote[] memory found) {
        address[] memory members = COMMITTEE.members(ballotId);
        found = new Vote[](members.length);
        for (uint256 i = 0; i < members.length; i++) {
            found[i] = Vote(members[i], COMMITTEE.memberOf(ballotId, members[i]));
        }
    }

    /// @inheritdoc ILens
    function position(address account) external view override returns (Position memory found) {
        found.balanceWei = account.balance;
        found.creditWei = RESERVOIR.creditOf(account);
        found.tokens = TOKEN.balanceOf(account);
        found.verifier = COMMITTEE.verifier(account);
        found.miner = GRADIENT.minerOf(account);
        ITaskMarket.Lane[] memory lanes = MARKET.lanes();
        found.lanes = new LanePosition[](lanes.length);
        for (uint256 i = 0; i < lanes.length; i++) {
            found.lanes[i] = _lanePosition(ILearningChain(lanes[i].chain), account);
        }
    }

    function _lanePosition(ILearningChain chain, address account)
        private
        view
        returns (LanePosition memory found)
    {
        found.chain = address(chain);
        found.roundId = chain.roundCount();
        if (found.roundId == 0) return found;
        found.place = chain.placeOf(found.roundId, account);
        uint64 ballotId = chain.round(found.roundId).ballotId;
        if (ballotId != 0) found.member = COMMITTEE.memberOf(ballotId, account);
    }

    // slither-disable-end calls-loop
}
