"""What can be swapped: the contracts and the built-in implementations."""
