"""Recognise and read the folder layouts of data sets."""
