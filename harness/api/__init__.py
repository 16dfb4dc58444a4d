"""The harness from Python: `harness.evaluate`, and the encoders as classes."""
