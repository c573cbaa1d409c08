"""Chapter 12 of GANs in Action: looking ahead."""
