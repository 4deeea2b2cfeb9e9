"""Views over the event log, the stores that read them as of a moment, and the encoders that turn rows into inputs."""
