// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Cid} from "../libraries/Cids.sol";

/// @title IVerifierCommittee
/// @notice Stakes, commit-reveal ballots over exact verdicts, and slashing. Serves every chain alike.
interface IVerifierCommittee {
    /// @notice `Commit`: the votes' digests are hashed in. `Reveal`: they are named. `Opening`: the lists behind them are
    /// shown. `Closed`: what was decided stands. `Void`: the quorum was lost; nothing was decided.
    enum BallotPhase {
        None,
        Commit,
        Reveal,
        Opening,
        Closed,
        Void
    }

    /// @notice What a part of a verdict says. `None`: there is nothing to test. `Scored`: the model is valid, with this
    /// score. `Invalid`: the model fails verification. `Unavailable`: the model could not be fetched. `Withheld`: the
    /// client's data for this part could not be fetched. `Undecided`: in outcomes only.
    enum VerdictKind {
        None,
        Scored,
        Invalid,
        Unavailable,
        Withheld,
        Undecided
    }

    /// @notice Why a seat was lost: given up, taken by a higher stake, or slashed below the floor.
    enum Exit {
        Requested,
        Displaced,
        Ejected
    }

    /// @notice What a penalty is for: a missed commit deadline, a missed reveal deadline, a vote that lacks what others
    /// had, a vote against what was decided.
    enum Fault {
        NoCommit,
        NoReveal,
        Lacking,
        Noise
    }

    /// @notice `Waiting`: too few are seated, others may still come. `Lapsed`: for longer than anybody has to wait.
    enum Seating {
        Enough,
        Waiting,
        Lapsed
    }

    /// @param releaseAt 0 while seated; else the time from which an unbonding stake can be credited
    /// @param openBallots ballots that bind this verifier and have not ended; counted, not stored
    /// @param voter who may cast this verifier's votes beside itself; 0: nobody
    struct Verifier {
        uint128 stakeWei;
        uint40 releaseAt;
        uint16 openBallots;
        bool isSeated;
        address voter;
    }

    /// @notice A verifier in one ballot; all zeros for others.
    /// @param index its place in `members`, which votes name
    /// @param weightWei its stake when the ballot's members were fixed
    /// @param commitment 0 until committed
    /// @param digest 0 until revealed
    /// @param penaltyWei what missed deadlines of this ballot cost it, which it gets back if nothing is decided
    struct Member {
        uint8 index;
        uint96 weightWei;
        bytes32 commitment;
        bytes32 digest;
        uint256 penaltyWei;
    }

    /// @notice What was decided about one entry. Scores of parts that are not `Scored` are 0.
    struct Verdict {
        VerdictKind train;
        uint32 trainPpm;
        VerdictKind test;
        uint32 testPpm;
    }

    /// @param refundAccount the chain's escrow account that gets back what the chain paid in, if the ballot is void or no
    /// vote is inside; the penalties return to the stakes then
    /// @param transcript hash chain over the votes' commitments: fixed when commits close
    /// @param outcomeCode whose code is the outcome, see `Outcomes`
    struct Ballot {
        address chain;
        uint16 entryCount;
        BallotPhase phase;
        uint40 deadline;
        uint8 extensions;
        uint16 memberCount;
        uint16 committedCount;
        uint16 revealedCount;
        uint112 committedStakeWei;
        uint112 revealedStakeWei;
        uint96 snapshotStakeWei;
        address outcomeCode;
        bytes32 refundAccount;
        bytes32 transcript;
    }

    /// @param floorStakeWei a seated stake that is slashed below this loses its seat
    /// @param minSeated with fewer seats taken, commits of rounds do not close and no block is proposed
    /// @param seatWaitS how long a round waits for them beyond its deadline before everything returns
    /// @param displacementPpm share of the smallest stake that whoever takes its seat pays to its owner
    /// @param voteEntryS by how much the window for vote commits grows with each entry of a ballot that has not ended
    /// when it begins, on whichever lane, the ballot's own included
    /// @param voteOpeningWindowS how long lists may be opened where the revealed votes differ
    /// @param absencePenaltyPpm share of the snapshot stake lost for a missed commit deadline, and for a vote that lacks
    /// what others had
    /// @param noisePenaltyPpm share of the snapshot stake lost for a vote against what was decided; a missed reveal
    /// deadline costs as much, or the absence penalty if that is more
    /// @param maxExtensions how often a deadline is extended for want of a quorum before the ballot is void
    struct CommitteeParameters {
        uint128 minStakeWei;
        uint128 floorStakeWei;
        uint8 minSeated;
        uint32 seatWaitS;
        uint32 displacementPpm;
        uint32 unbondingPeriodS;
        uint32 voteCommitWindowS;
        uint32 voteEntryS;
        uint32 voteRevealWindowS;
        uint32 voteOpeningWindowS;
        uint8 maxExtensions;
        uint32 absencePenaltyPpm;
        uint32 noisePenaltyPpm;
    }

    /// @param stakeWei the whole stake afterwards; what a displacement cost is taken off already
    event Staked(address indexed verifier, uint256 amountWei, uint256 stakeWei);
    event Unseated(address indexed verifier, uint256 stakeWei, uint40 releaseAt, Exit reason);
    /// @param priceWei credited to the displaced, out of what the other staked
    event Displaced(address indexed verifier, address indexed by, uint256 priceWei);
    event VoterChanged(address indexed verifier, address indexed voter);
    event Unstaked(address indexed verifier, uint256 amountWei);
    event BallotOpened(
        uint64 indexed ballotId,
        address indexed chain,
        uint16 entryCount,
        uint16 memberCount,
        uint256 snapshotStakeWei,
        uint40 deadline
    );
    event BallotPhaseChanged(uint64 indexed ballotId, BallotPhase phase, uint40 deadline);
    event BallotExtended(uint64 indexed ballotId, uint8 extensions, uint40 deadline);
    event VoteCommitted(uint64 indexed ballotId, address indexed verifier);
    /// @param predictions all predictions behind the vote, published for a row by row check; an empty one is none
    event VoteRevealed(uint64 indexed ballotId, address indexed verifier, bytes32 digest, Cid predictions);
    /// @param verdicts packed, see `Verdicts`; every tally needs all lists that were opened
    event VoteOpened(uint64 indexed ballotId, bytes32 indexed digest, uint256[] verdicts);
    /// @param outcome packed like a vote, with the fingerprints
    event BallotTallied(uint64 indexed ballotId, bytes32 outcomeDigest, uint256[] outcome);
    event Slashed(uint64 indexed ballotId, address indexed verifier, uint256 amountWei, Fault fault);
    event PenaltyReturned(uint64 indexed ballotId, address indexed verifier, uint256 amountWei);

    /// @notice A constructor parameter under which no ballot could work.
    error InvalidParameter(bytes32 name, uint256 value);
    error NotChain(address caller);
    error StakeTooSmall(uint256 stakeWei, uint256 neededWei);
    error NotSeated(address verifier);
    error NotUnbonding(address verifier);
    error UnbondingNotOver(address verifier, uint40 releaseAt, uint16 openBallots);
    error WrongBallotPhase(uint64 ballotId, BallotPhase phase, BallotPhase needed);
    error DeadlinePassed(uint64 ballotId, uint40 deadline);
    error NotMember(uint64 ballotId, address verifier);
    error AlreadyCommitted(uint64 ballotId, address verifier);
    error NotCommitted(uint64 ballotId, address verifier);
    error AlreadyRevealed(uint64 ballotId, address verifier);
    error CommitmentMismatch(bytes32 expected, bytes32 actual);
    error NotRevealed(uint64 ballotId, uint8 index);
    error AlreadyOpened(uint64 ballotId, bytes32 digest);
    /// @notice The tally lacks a list that counts: one that was opened or, before the deadline, any that was revealed.
    error MissingList(uint64 ballotId, bytes32 digest);
    /// @notice The tally was given a list that nobody revealed, or that was not opened in time, or twice.
    error UncountedList(uint64 ballotId, bytes32 digest);
    error EmptyDigest();
    error WrongVerdictCount(uint256 given, uint256 needed);
    error InvalidVerdict(uint256 entry);
    error NotDue(uint64 ballotId, BallotPhase phase, uint40 deadline);
    error EmptyBallot();
    error TooManyEntries(uint16 given, uint16 maxEntries);
    error EmptyCommitment();

    /// @notice Adds the value sent to the caller's stake and seats it, also one that lost its seat. A full committee is
    /// entered by outbidding its smallest stake, whose owner is unseated and gets a price for it out of the value.
    function stake() external payable;

    /// @notice Lets `voter` cast the caller's votes as well, at once and on open ballots too; 0: nobody.
    function setVoter(address voter) external;

    /// @notice Gives up the seat; the stake is withheld for the unbonding period and until open ballots end.
    function requestUnstake() external;

    /// @notice Credits the caller's unbonded stake in the reservoir.
    function completeUnstake() external;

    /// @notice Opens a ballot over `entryCount` entries for those who were seated at the end of that second, weighted by
    /// their stakes then. In the same transaction the chain moves the fee into the committee's escrow account
    /// `bytes32(ballotId)`. Chain only.
    function openBallot(uint16 entryCount, bytes32 refundAccount, uint40 membersAt)
        external
        returns (uint64 ballotId);

    /// @notice Shares the committee's escrow account `account` among those who were seated at the end of that second, by
    /// their stakes then; if nobody was, `otherwise` gets it. Chain only.
    function distribute(bytes32 account, uint40 atTime, address otherwise) external;

    /// @param index of the member in `members`; itself or its voter may call
    /// @param commitment see `Commitments.vote`, for the member
    function commitVote(uint64 ballotId, uint8 index, bytes32 commitment) external;

    /// @param index of the member in `members`; itself or its voter may call
    /// @param digest `Commitments.ballot` of the vote's list
    /// @param predictions where they can be read, or empty; nothing on chain depends on it
    function revealVote(uint64 ballotId, uint8 index, bytes32 digest, bytes32 salt, Cid calldata predictions)
        external;

    /// @notice Shows the list behind the digest that this member revealed, so that it counts. Anyone may call, in
    /// `Opening`.
    function openVote(uint64 ballotId, uint8 index, uint256[] calldata verdicts) external;

    /// @notice Decides a ballot by the lists that were opened; all of them must be given, in any order. Before the
    /// deadline it needs the lists of all revealed digests, opened or not: where all agree, one. Ends a `Reveal` that is
    /// due by itself. Anyone may call; who does changes nothing.
    function tally(uint64 ballotId, uint256[][] calldata lists) external returns (BallotPhase phase);

    /// @notice Moves a ballot on that is due: everybody acted or the deadline passed. Anyone may call. An `Opening` in
    /// which nobody opened anything ends so with nothing decided; else see `tally`.
    function advance(uint64 ballotId) external returns (BallotPhase phase);

    function parameters() external view returns (CommitteeParameters memory);
    function verifier(address account) external view returns (Verifier memory);
    function seated() external view returns (address[] memory);
    function seatedCount() external view returns (uint256);
    /// @notice Whether enough are seated to go on with what was due by `deadline`.
    function seating(uint40 deadline) external view returns (Seating);
    /// @notice For how long altogether too few have been seated: clocks of searches stand still meanwhile.
    function stoodStillS() external view returns (uint40);
    function ballot(uint64 ballotId) external view returns (Ballot memory);
    function members(uint64 ballotId) external view returns (address[] memory);
    function memberOf(uint64 ballotId, address account) external view returns (Member memory);
    /// @notice The member with this index; reverts unless it is the voter itself or lets the voter vote.
    function checkVoter(uint64 ballotId, uint8 index, address voter) external view returns (address member);
    function isOpened(uint64 ballotId, bytes32 digest) external view returns (bool);
    /// @notice What was decided; empty until the ballot is closed.
    /// @return words first `Commitments.ballot` of what was decided, with its fingerprints: a vote's digest, if one vote
    /// alone decided everything. Then kinds and scores, see `Verdicts.expand`
    function outcome(uint64 ballotId) external view returns (uint256[] memory words);
    /// @notice What a chain has to know of a ballot: whether it is over, how, and what its block commits to.
    /// `Outcomes` reads the code.
    function result(uint64 ballotId)
        external
        view
        returns (BallotPhase phase, bytes32 transcript, address outcomeCode);
    function nextBallotId() external view returns (uint64);
    function isDue(uint64 ballotId) external view returns (bool);
}
