"""What an agent decides to say, and the process that hosts it."""
