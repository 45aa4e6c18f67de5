"""Events that the user has marked as normal, and the feature rows of them."""
