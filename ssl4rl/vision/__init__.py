"""Images: sets of them, how they are decoded and changed, and the tasks and benchmarks on them."""
