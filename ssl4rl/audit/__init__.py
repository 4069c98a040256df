"""What every task has to keep: the contract, what a prompt must not show, and what must not give an answer away."""
