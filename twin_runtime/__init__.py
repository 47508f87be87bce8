"""diten's shared library: pure twin logic, the one shell, and the adapters that do IO."""
