"""What is compared: this library, and each of the others as its users would write it."""
