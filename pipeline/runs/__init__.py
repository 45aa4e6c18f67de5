"""A run: the job that a command works on, and the folder that keeps what it makes."""
