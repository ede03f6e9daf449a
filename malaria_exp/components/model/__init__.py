"""Models: each builder takes nothing but its parameters and returns a Keras model from images to logits."""
