"""What is shown without a clock: how exact the ops are, what they compile to, what they move."""
