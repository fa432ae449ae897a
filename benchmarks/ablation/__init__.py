"""Each part of the bundled model's training alone and with the others, scored on data that none of them saw."""
