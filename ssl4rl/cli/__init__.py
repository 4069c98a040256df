"""The command line, one file per verb. Heavy imports stay inside the functions that need them."""
