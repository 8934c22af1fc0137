"""Parts that training loops call; none of them calls a loop."""
