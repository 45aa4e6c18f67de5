"""Compare runs, densities and the scores of other methods."""
