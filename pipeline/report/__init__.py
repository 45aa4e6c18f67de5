"""Draw the report."""
