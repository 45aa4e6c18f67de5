"""Turn files into videos, frames and labels, and keep features in HDF5."""
