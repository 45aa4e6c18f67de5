"""Render a small surveillance scene with known anomalies."""
