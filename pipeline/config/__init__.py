"""Settings: their sections, and how files and arguments become one configuration."""
