"""The commands of `mlsd`, one file each; `common/cli.py` holds the frame around them."""
