"""Tables -> labels -> splits."""
