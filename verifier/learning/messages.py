"""Requests from a verifier to its judging process about a round's models."""

from pole.task.manifest import Document


class RoundInputs(Document):
    """A round's inputs, without its models. CIDs as text, `previous_hash` in hexadecimal.

    `is_test_set_missing`: it was released and nobody has it, so `test_set` is None.
    """

    store: str
    cache_dir: str
    manifest: str
    previous_hash: str
    keys: str | None
    test_set: str | None
    is_test_set_missing: bool = False

    @property
    def has_test_part(self) -> bool:
        """Whether a test set was released, so that a vote has something to say of it."""
        return self.test_set is not None or self.is_test_set_missing


class ModelsRequest(Document):
    """Judge these models, in this order; a model is its entry in the ballot and its CID."""

    inputs: RoundInputs
    models: list[tuple[int, str]]
