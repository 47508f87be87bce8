"""The edge node: keeps live twins, durable before acknowledged."""
