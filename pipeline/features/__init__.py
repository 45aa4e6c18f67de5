"""Decide which features a run needs, and make those of one video."""
