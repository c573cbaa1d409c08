"""Chapter 9 of GANs in Action: CycleGAN."""
