"""The deterministic simulation: the production machines, every fault, one seed, one history."""
