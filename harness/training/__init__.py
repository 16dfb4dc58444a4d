"""Straight-through (STE) regularization: train a model whose token vectors survive MUVERA's or SMVE's projection.

    L = (1 - alpha) * contrastive(MaxSim) + alpha * contrastive(dot products of projected codes)

`pairs` reads training data and keeps the suite's test sets out of it; `codes` are the projections of
`harness.methods`, differentiable; `loss` puts both terms together; `cached` serves the vectors of a frozen backbone;
`validate` measures the held-out split; `train` is the command.
"""
