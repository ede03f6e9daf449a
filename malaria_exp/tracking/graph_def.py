"""The graph of a network's operations, as TensorFlow traces it; for every way of writing a model, subclassed ones too."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def graph_def(model: "keras.Model") -> bytes:
    """Returns the graph of the model's inference on a batch of any size, a serialized GraphDef with shapes, without the weights' values."""
    import tensorflow as tf

    shape = (None, *model.input_shape[1:])

    @tf.function(autograph=False)
    def call(images: "tf.Tensor") -> "tf.Tensor":
        return model(images, training=False)

    traced = call.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="images"))
    content: bytes = traced.graph.as_graph_def(add_shapes=True).SerializeToString()
    return content
