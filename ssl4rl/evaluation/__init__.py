"""Running benchmarks, scoring replies, comparing evaluations, and the paper's tables."""
