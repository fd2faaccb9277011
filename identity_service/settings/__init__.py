"""The operator's settings: their schema, and their layers. `config/default.toml` describes each setting."""
