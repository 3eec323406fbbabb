"""From a config to a module, and what a step of training minimizes of it."""
