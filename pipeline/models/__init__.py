"""Fit one detector per stream, keep them, and fuse their scores."""
