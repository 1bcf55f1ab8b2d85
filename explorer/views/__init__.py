"""Pages as data: what each one says, in figures that carry their proofs."""
