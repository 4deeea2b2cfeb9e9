"""Finding candidates: words (search_ranking.baseline.lexical), meaning (looks, hashed or encoder; dense), and one list out of both (fusion).

In:     texts of documents and queries; for training, thumbnails, or pairs of a query and the document clicked for it.
Out:    a Ranking of candidates, with each leg's score and rank kept for the ranker.
Choice: two legs that fail apart: BM25 misses what is said in other words, an encoder misses names, numbers and rare words. The ranks of the two
        are fused (reciprocal ranks; a weighted or min-max sum by `config.fusion`); what a layer learnt from clicks does is the experiment `fusion`.
Else:   BM25 alone below some hundred documents; an encoder alone where queries share no words with documents (the chart over mismatch).
Breaks: raw scores added (BM25 decides alone: `fusion.share_of_decision`), an index of another encoder (refused by its fingerprint).
"""
