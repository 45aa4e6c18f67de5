"""Describe objects, clips and frames: one kind of feature a module."""
