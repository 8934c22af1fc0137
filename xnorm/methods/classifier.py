"""The classifier over features, of every method but MISA and MulT."""

import torch.nn.functional as F
from torch import Tensor, nn


class Classifier(nn.Module):
    """y = D(W3 tanh(D(W2 tanh(D(W1 x))))) with biases: (B, inputs) -> (B, classes).

    D is dropout. It stands before each tanh and, as published, on the logits themselves.
    """

    def __init__(self, inputs: int, hidden: int, dropout: float, classes: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, classes)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.fc1, self.fc2):
            x = self._drop(layer(x)).tanh()
        return self._drop(self.fc3(x))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)
