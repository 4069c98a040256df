"""Running a model: conversations in, replies out. The modules are imported by name; this package imports nothing."""
