"""Chapter 4 of GANs in Action: the deep convolutional GAN."""
