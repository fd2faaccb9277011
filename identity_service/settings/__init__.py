"""What an operator writes: its schema, where it is read from, and whether it agrees. `config/default.toml` describes each setting."""
