"""Turn frames into boxes and features."""
