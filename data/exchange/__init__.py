"""Bring in features that were made elsewhere, and hand out those of the cache."""
