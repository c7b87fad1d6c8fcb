"""A local mail provider for demonstrations and tests: a program of its own that shares no code with the desk."""
