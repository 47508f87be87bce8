"""Test bodies of the ports, and the contract suites that the real bodies pass too."""
