"""The teacher: a pretrained multilingual encoder over word pieces, with a layer over characters and a CRF on top.

A tagger that is trained from random weights learns names and grammar from a few million characters. An encoder that was
pretrained on billions knows them already; labelled sentences only define what counts as a name.
"""
