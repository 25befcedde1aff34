"""Layers that are real numbers with gradients in training and integers in evaluation."""
