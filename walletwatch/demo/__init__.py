"""The demonstration: a recorded theft played to the real program, offline."""
