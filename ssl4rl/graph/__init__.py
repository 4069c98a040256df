"""Text-attributed graphs: the data structure, splits, sampling, and the tasks built on them."""
