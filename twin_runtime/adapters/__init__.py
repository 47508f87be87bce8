"""The only code that does IO. Every adapter is the body of a port or a process's edge."""
