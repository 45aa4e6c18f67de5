"""The stages, each only where it is needed."""
