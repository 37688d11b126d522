"""`object_laws`: sensors, landmarks and laws, carried from step to step."""
