"""A trained model on footage as it comes: scores, events, and where they are sent."""
