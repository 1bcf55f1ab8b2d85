// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IRewardReservoir
/// @notice Holds every wei of the system and pays it out on request of the payee only.
/// @dev Invariant: `balance == total(Escrow) + total(Bond) + total(Stake) + totalCredits()`, but for ether that a
/// contract forced in (self-destruct, block rewards), which belongs to nobody and changes no account.
interface IRewardReservoir {
    /// @notice What a deposit is for. `Escrow`: rewards and fees. `Bond`: forfeited by misbehaviour.
    /// `Stake`: a verifier's.
    enum Pot {
        Escrow,
        Bond,
        Stake
    }

    event Deposited(address indexed keeper, Pot indexed pot, bytes32 indexed account, uint256 amountWei);
    event Moved(
        address indexed keeper,
        Pot pot,
        bytes32 indexed account,
        address indexed toKeeper,
        Pot toPot,
        bytes32 toAccount,
        uint256 amountWei
    );
    event Credited(
        address indexed keeper, Pot pot, bytes32 indexed account, address indexed payee, uint256 amountWei
    );
    event Withdrawn(address indexed payee, address indexed to, uint256 amountWei);

    error NotOperator(address caller);
    error InsufficientFunds(address keeper, Pot pot, bytes32 account, uint256 balanceWei, uint256 amountWei);
    error LengthMismatch(uint256 payees, uint256 amounts);
    error ZeroAddress();
    error NothingToWithdraw(address payee);
    error WithdrawalFailed(address to, uint256 amountWei);

    /// @notice Puts the value sent into an account of the caller's keeper. Operators only.
    function deposit(Pot pot, bytes32 account) external payable;

    /// @notice Moves money from an account of the caller's keeper to one of another operator's keeper, or of the same.
    function move(
        Pot pot,
        bytes32 account,
        address toOperator,
        Pot toPot,
        bytes32 toAccount,
        uint256 amountWei
    ) external;

    /// @notice Turns money of an account of the caller's keeper into a credit that the payee can withdraw.
    function credit(Pot pot, bytes32 account, address payee, uint256 amountWei) external;

    /// @notice `credit` for many payees of one account; amounts of zero are skipped.
    function creditMany(Pot pot, bytes32 account, address[] calldata payees, uint256[] calldata amountsWei)
        external;

    /// @notice Sends the caller's whole credit to `to`. The only way ether ever leaves.
    function withdraw(address payable to) external returns (uint256 amountWei);

    /// @notice Whose accounts an operator uses: the market and all lanes share the market's. Zero: it is no operator.
    function keeperOf(address operator) external view returns (address keeper);
    function balanceOf(address keeper, Pot pot, bytes32 account) external view returns (uint256 amountWei);
    function creditOf(address payee) external view returns (uint256 amountWei);
    function total(Pot pot) external view returns (uint256 amountWei);
    function totalCredits() external view returns (uint256 amountWei);
}
