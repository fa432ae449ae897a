"""Presets: one YAML file each, with a module of the same name where data have to be found."""
