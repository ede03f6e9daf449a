"""Models: each builder takes only its parameters and returns a Keras model from images to logits."""
