"""`transition`: what a vehicle sees, moved by how the vehicle moves, and drawn where that fails."""
