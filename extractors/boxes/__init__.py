"""Find objects: boxes in a frame."""
