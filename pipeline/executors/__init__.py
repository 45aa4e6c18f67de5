"""Run tasks, such as one per video: in this process, in its children or elsewhere."""
