"""The papers' experiments, one module per paper, on the problems and solvers of the runtime."""
