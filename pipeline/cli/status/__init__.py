"""How an outbox and an inbox stand at the moment."""
