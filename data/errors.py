"""What a user can get wrong, as exceptions whose text is the whole message."""


class InputError(ValueError):
    """A file, folder, label or setting cannot be used; the text says which, and the way out."""


class VideoError(InputError):
    """One video cannot be read; the other videos can go on."""
