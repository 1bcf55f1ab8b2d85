"""Whether a commissioned model is worth its price: beside plain baselines, in bulk and in real rounds."""
