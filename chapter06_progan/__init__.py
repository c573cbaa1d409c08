"""Chapter 6 of GANs in Action: progressive growing, and the style-based generator after it."""
