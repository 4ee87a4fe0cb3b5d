"""What the entity layer promises, seen through its public names."""
