"""What an operator runs against a store: doctor, move, forget, and making settings anew. No call goes through here."""
