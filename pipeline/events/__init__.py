"""From frame scores to events: where a threshold lies that means something, what happened, when, and why."""
