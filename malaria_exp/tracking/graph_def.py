"""The graph of a model's operations as TensorFlow traces it, which also shows subclassed models."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def graph_def(model: "keras.Model") -> bytes:
    """Returns a serialized GraphDef of inference on a batch of any size, with shapes and without the weights' values."""
    import tensorflow as tf

    shape = (None, *model.input_shape[1:])

    @tf.function(autograph=False)
    def call(images: "tf.Tensor") -> "tf.Tensor":
        return model(images, training=False)

    traced = call.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="images"))
    content: bytes = traced.graph.as_graph_def(add_shapes=True).SerializeToString()
    return content
