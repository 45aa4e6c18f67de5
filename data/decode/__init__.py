"""Turn video files and folders of images into frames with their times."""
