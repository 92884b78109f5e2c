"""Pure functions of (outflow, facts) to a verdict; one file a family of rules, a registry, the engine."""
