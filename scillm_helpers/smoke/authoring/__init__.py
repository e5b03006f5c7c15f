"""What an author of notebooks asks for: a new one in the suite's shape, and what one lacks."""
