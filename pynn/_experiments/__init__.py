"""What the fixtures of the pytest plugin do. The plugin itself is `pynn_pytest`, outside the package."""
