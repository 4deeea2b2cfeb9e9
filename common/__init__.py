"""Platform code: it knows people, items, events, features, metrics and deadlines, but no ad, query, post, image or video."""
