"""Requests from a verifier to its judging process about a round's models."""

from pole.task.manifest import Document


class RoundInputs(Document):
    """A round's inputs, without its models. CIDs as text, `previous_hash` in hexadecimal."""

    store: str
    cache_dir: str
    manifest: str
    previous_hash: str
    keys: str | None
    test_set: str | None


class ModelsRequest(Document):
    """Judge these models, in this order; a model is its entry in the ballot and its CID."""

    inputs: RoundInputs
    models: list[tuple[int, str]]
