"""Drawing one blood cell from its random numbers: the parts of `dataset=synthetic`."""
