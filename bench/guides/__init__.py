"""Small runs on the bundled digits, whose figures and pictures the guides of docs/guides show."""
