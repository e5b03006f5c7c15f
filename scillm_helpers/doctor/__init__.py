"""What is wrong with an environment, an endpoint, and the way to it: `scillm-smoke doctor`."""
