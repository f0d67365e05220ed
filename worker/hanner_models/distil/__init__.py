"""Distillation: train a small model on the answers of an accurate one, over labelled and unlabelled texts.

Each text gets several labellings, drawn from the distribution of the teacher's CRF. The student's loss is their mean
negative log-likelihood: an unbiased estimate of the cross-entropy of both distributions over whole label paths
(structure-level distillation, Wang et al. 2020), whatever the tokens and the tagging scheme of the two are.
"""
