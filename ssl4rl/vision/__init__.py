"""Pictures: where they come from, what is done to them, and the tasks built on them."""
