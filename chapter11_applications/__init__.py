"""Chapter 11: applications. Augmentation of few images, new designs, and images from text."""
