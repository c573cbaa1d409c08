"""Chapter 10 of GANs in Action: adversarial examples."""
