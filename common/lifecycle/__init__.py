"""What outlives a process: the event log, the artifact registry, and the traffic that plays against a server."""
