"""The bundled compact x4 model: network, sampling, and everything it is trained with."""
