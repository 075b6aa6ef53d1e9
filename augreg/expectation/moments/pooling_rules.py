"""Rules for pooling."""
