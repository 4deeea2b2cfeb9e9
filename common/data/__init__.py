"""Reading files, checking them at the door (`schema.toml`), saving columns, splitting by time."""
