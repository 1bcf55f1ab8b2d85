"""The tree of errors. Every message says what is wrong, with the value, and what to do."""

import errno


class PoleError(Exception):
    """Base of everything this project raises on purpose; a CLI prints it without a traceback."""


class BadInput(PoleError):
    """Something a person gave (file, option, value) cannot be used."""


# Content and files
class StoreError(PoleError):
    """The content store cannot do what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or does not answer properly; trying again later is right."""


class ContentNotFound(StoreError):
    """Nobody who was asked has this content (yet)."""


class ContentMismatch(StoreError):
    """Bytes do not hash to the CID they were asked for by."""


class ContentTooLarge(StoreError):
    """Content exceeds the cap the caller set."""


class ManifestInvalid(PoleError):
    """A manifest breaks the schema or contradicts itself."""


class ModelInvalid(PoleError):
    """A model file does not fit the model specification, or is malformed or hostile."""


class InexactMachine(PoleError):
    """This machine computes something else than all others: it must not judge, and no model is wrong for it."""


class DataInvalid(PoleError):
    """A file of rows does not fit the manifest, or is malformed or hostile."""


# The gradient chain
class ProofInvalid(PoleError):
    """A block's proof is malformed, or contradicts the proposal that names it."""


# Encryption
class EncryptionError(PoleError):
    """Base of what functional encryption can refuse."""


class KeyRefused(EncryptionError):
    """A functional key does not match the public key, or must not be issued."""


class DecryptionFailed(EncryptionError):
    """An inner product is out of range: wrong key, or corrupt data."""


# Chain
class ChainError(PoleError):
    """Base of what the node or the contracts can refuse."""


class TransientChainError(ChainError):
    """The node did not answer properly; trying again later is right. The only error that loops retry.

    `retry_after_s`: what the node asks for, if it said.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NodeUnusable(TransientChainError):
    """The node will hardly answer until a person changes something; a loop that runs already goes on asking."""


class WrongChain(ChainError):
    """The node is not the chain that the deployment file describes."""


class InsufficientFunds(ChainError):
    """The account cannot pay for the transaction."""


class TransactionReverted(ChainError):
    """A contract refused; carries the custom error's name and arguments."""

    def __init__(self, name: str, arguments: dict[str, object], message: str) -> None:
        super().__init__(message)
        self.name = name
        self.arguments = arguments


# Own state
class JournalError(PoleError):
    """The journal on disk cannot be read, written or locked."""


class JournalFull(JournalError):
    """There is no space for another entry; nothing was sent, and trying again later is right."""


def refused_write(exc: OSError, what: str) -> JournalError:
    """The error for a file of a role's own that cannot be written; JournalFull if only space is missing."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return JournalFull(f"{what}: {exc.strerror}; free disk space, nothing was lost")
    return JournalError(f"{what}: {exc.strerror}; check the folder and its permissions")
