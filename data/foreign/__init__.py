"""Open files of strangers: nothing in them is run, followed elsewhere or believed about its size."""
