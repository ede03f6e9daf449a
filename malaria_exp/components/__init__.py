"""What a run is assembled from: a package a config group, a file an option."""
