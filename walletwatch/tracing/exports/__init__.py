"""A trace as files for people and programs: pure functions from a trace to text or bytes."""
