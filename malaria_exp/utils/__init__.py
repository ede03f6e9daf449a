"""What everything above stands on: errors, files, filesystems, downloads, progress, the terminal log, TensorFlow setup."""
