"""The bundled model's results on every data set, beside its rivals on the same cells."""
