"""An example of a plug-in for ssl4rl. The README says how to make one of your own from it."""
