"""The index: which of the gallery's vectors are nearest, and what it costs to ask.

In:     vectors of length 1, and queries held out, of the same encoder.
Out:    cheapest: a Served index, of the least memory that finds enough in time. The classic ones, short: exact, trees, hashing, lists, codes, graph.
Choice: Faiss serves; our own of every kind are for reading, and for the lab, which compares all. What a setting costs is measured on the case's own
        vectors: how hard they are to search depends on how many directions they really have (dimension.py), not on how many are stored.
Else:   one kind by habit. Up to some tens of thousands of images a scan is the right one, and it forgets and learns at once.
Breaks: lists cut for other images than come later, a graph full of removed ones: gallery.Gallery.alerts searches again what was measured.
"""
