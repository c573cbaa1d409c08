"""Chapter 7 of GANs in Action: the semi-supervised GAN."""
