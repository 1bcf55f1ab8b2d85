"""How plain rows become numbers: one declarative document, made by `init`, used by `submit` and `predict` alike."""
