"""Where tests find what is not a test: the checkout, the vectors that several languages share, the documents."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VECTORS = ROOT / "tests" / "vectors"
