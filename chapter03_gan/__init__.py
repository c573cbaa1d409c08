"""Chapter 3 of GANs in Action: your first GAN."""
