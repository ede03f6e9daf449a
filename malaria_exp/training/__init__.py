"""What trainers share: the session, precision, devices, averaged weights, validation and scoring."""
