"""Draw on frames what was found in them: stills, whole videos, clips."""
