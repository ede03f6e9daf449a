"""What all other packages use: errors, files, filesystems, downloads, progress, the terminal log, TensorFlow setup."""
