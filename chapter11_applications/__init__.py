"""Chapter 11: applications of GANs."""
