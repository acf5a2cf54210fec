"""What the integration tests and attacks share: servers to test against and programs to run."""
