"""Run one task per video, in this process's children or elsewhere."""
