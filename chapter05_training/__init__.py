"""Chapter 5: training and common challenges. The games that GANs play, measured side by side."""
