"""Keep features in HDF5: one file a video and stream, whole or not there."""
