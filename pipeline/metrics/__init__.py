"""Measure scores against labels."""
