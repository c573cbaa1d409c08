"""Chapter 2 of GANs in Action: autoencoders."""
