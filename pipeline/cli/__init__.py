"""The command line: what it takes, what it prints, and its exit codes."""
