"""How good the networks are."""
