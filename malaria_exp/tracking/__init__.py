"""What loggers are told of a run, the protocol they follow, and the queue that keeps them from holding up the training."""
