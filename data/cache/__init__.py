"""Keep features in HDF5: one file per video and stream, whole or not there."""
