"""The operator's commands: check, doctor, inspect, move, forget, backup and init. No call uses them."""
