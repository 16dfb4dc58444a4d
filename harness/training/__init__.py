"""Straight-through (STE) regularization: training so that token vectors survive MUVERA's or SMVE's projection.

    L = (1 - alpha) * contrastive(MaxSim) + alpha * contrastive(dot products of projected codes)

pairs       training data, without what `excluded` finds of the suite's test sets
datasets    the pairs as the trainer reads them
codes       the projections of `harness.methods`, made differentiable
loss        both terms
queries     their lengths, and what the codes see of them
encoding    batches and token vectors of texts; `cached` reads the vectors of frozen layers
validate    NDCG@10 on the held-out split
folder      the files of a run
trainer     one run of the sentence-transformers trainer
train       the command
"""
