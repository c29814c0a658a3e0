"""How plots begin."""
