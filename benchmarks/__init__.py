"""Side by side with what a user would pick instead; each module writes its own result file."""
