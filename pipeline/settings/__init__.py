"""Settings: what config.toml, the environment, a manifest and the command line may set."""
