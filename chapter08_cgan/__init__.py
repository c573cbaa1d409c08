"""Chapter 8 of GANs in Action: the conditional GAN."""
