"""The main job, start to end, on real cells."""
