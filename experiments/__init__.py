"""What learns what: learning, transfer and evidence. Timings are in benchmarks/."""
