"""Visual search: images that look like a photo, like a part of it, or like what is said, from a gallery whose index is kept honest."""
