"""Get, check, load and run pretrained networks."""
