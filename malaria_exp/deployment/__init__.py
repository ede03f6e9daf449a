"""Finished models in use: predicting on new images, exporting to other runtimes, the service, the model card."""
