"""Training: the objective, the Lightning module, schedules and what is saved."""
