"""Read labels of frames and regions in the forms in which they are published."""
