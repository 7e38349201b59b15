"""How a training that was cut off or went wrong is gone on with."""
