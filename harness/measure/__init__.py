"""What `harness.run` composes: testbeds, cells, and the artifacts that each step leaves."""
