"""The `diten` command: wires the roles into running systems."""
